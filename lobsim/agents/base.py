"""What all agents share: parameters checked by pydantic, a context to act in, and two ways to live in time."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from simpy.events import Event as SimEvent

from lobsim.errors import InputError
from lobsim.sim.clock import Clock
from lobsim.sim.contracts import ContractGateway
from lobsim.sim.gateway import CrowdGateway, Gateway, InstrumentSpec, LenderGateway
from lobsim.sim.purse import Purse
from lobsim.sim.streams import Stream
from lobsim.sim.window import WindowGateway
from lobsim.units import parse_duration


def _duration(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError("a duration is text such as '250ms', '1.5s' or '45m'")
    try:
        return parse_duration(value)
    except InputError as fault:
        raise ValueError(str(fault)) from None


_DURATION_TEXT = r"^\d{1,12}(\.\d{1,9})?(ns|us|ms|s|m|h|d)$"

Duration = Annotated[
    int,
    BeforeValidator(_duration, json_schema_input_type=Annotated[str, Field(pattern=_DURATION_TEXT)]),
    Field(ge=0, le=10**18),
]
PositiveDuration = Annotated[
    int,
    BeforeValidator(_duration, json_schema_input_type=Annotated[str, Field(pattern=_DURATION_TEXT)]),
    Field(gt=0, le=10**18),
]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,32}$")]


def _number(value: object) -> object:
    if isinstance(value, bool | str):
        raise ValueError("a number without quotes is wanted")
    return value


_Number = BeforeValidator(_number, json_schema_input_type=float)

Number = Annotated[float, _Number, Field(ge=-1e15, le=1e15, allow_inf_nan=False)]
Positive = Annotated[float, _Number, Field(gt=0, le=1e15, allow_inf_nan=False)]
NonNegative = Annotated[float, _Number, Field(ge=0, le=1e15, allow_inf_nan=False)]
Share = Annotated[float, _Number, Field(ge=0, le=1, allow_inf_nan=False)]


class Model(BaseModel):
    """Frozen, refuses unknown keys, takes no silent conversions between text and numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class AgentParams(Model):
    """Keys that every agent table has."""

    kind: str
    venue: Name | None = Field(None, description="exchange it trades on; may be left out where there is only one")
    instrument: Name
    enabled: bool = Field(True, description="false leaves the agent out; nobody else's random numbers change")
    count: int = Field(1, ge=1, le=10_000, description="how many of them, each with its own account and random stream")
    order_latency: Duration = Field(5_000_000, description="time from the agent to the venue")
    feed_latency: Duration = Field(5_000_000, description="time from the venue to the agent")
    latency_sigma: Annotated[float, Field(ge=0, le=3)] = Field(
        0.0, description="log-standard-deviation of both latencies; 0 makes them constant"
    )

    def uses(self) -> tuple[str, ...]:
        """Names of all instruments it trades or watches, the primary one first."""
        return (self.instrument,)

    def references(self) -> tuple[str, ...]:
        """Names of the outside values it looks at."""
        reference = getattr(self, "reference", None)
        return () if reference is None else (reference,)


class AccountParams(AgentParams):
    """Keys of agents whose accounts begin with more than one asset, possibly on several venues."""

    margin: bool = Field(False, description="its accounts are unified margin accounts: they borrow by themselves")
    balances: dict[Name, NonNegative] = Field(
        default_factory=dict, description="amount of each asset on its primary venue at the start"
    )
    debts: dict[Name, NonNegative] = Field(
        default_factory=dict, description="amount of each asset it owes its primary venue at the start, spent before"
    )
    elsewhere: dict[Name, dict[Name, NonNegative]] = Field(
        default_factory=dict, description="balances on other venues, or on 'chain'"
    )
    contracts: dict[Name, Number] = Field(
        default_factory=dict, description="base amount of each perpetual held at the start, below 0 for short"
    )


class Context:
    """What an agent is given: its name, its gateways, its random stream, and where to leave a note for the records.

    `specs` has every instrument that `AgentParams.uses` names. `lenders` are those whose collateral is the base asset
    of the primary instrument, on the same venue.
    """

    def __init__(
        self,
        clock: Clock,
        name: str,
        number: int,
        spec: InstrumentSpec,
        stream: Stream,
        gateway: Gateway | None = None,
        crowd: CrowdGateway | None = None,
        lenders: tuple[LenderGateway, ...] = (),
        connections: Connections | None = None,
    ) -> None:
        self.clock = clock
        self.name = name
        self.number = number
        self.spec = spec
        self.stream = stream
        self.lenders = lenders
        self._gateway = gateway
        self._crowd = crowd
        self._connections = connections or Connections()
        self.specs: Mapping[str, InstrumentSpec] = self._connections.specs or {spec.name: spec}
        self.note: NoteTaker = _forget

    @property
    def gateway(self) -> Gateway:
        """The agent's own connection."""
        assert self._gateway is not None, f"{self.name} has no gateway of its own"
        return self._gateway

    @property
    def crowd(self) -> CrowdGateway:
        """The crowd's order entry."""
        assert self._crowd is not None, f"{self.name} is no crowd"
        return self._crowd

    def gateway_of(self, instrument: str) -> Gateway:
        """The connection to the venue of one of its instruments; the same one for all instruments of a venue."""
        return self._connections.gateways.get(self.specs[instrument].venue) or self.gateway

    def lender(self, name: str) -> LenderGateway:
        """The connection to a lender that its params name."""
        return self._connections.lenders[name]

    def window(self, name: str) -> WindowGateway:
        """The connection to an issuer, converter or mint-and-burn contract that its params name."""
        return self._connections.windows[name]

    def contract(self, instrument: str) -> ContractGateway:
        """A crowd's isolated positions in one of its perpetuals."""
        return self._connections.contracts[instrument]

    @property
    def chain(self) -> Purse:
        """Its wallet outside all venues."""
        chain = self._connections.chain
        assert chain is not None, f"{self.name} has no wallet on the chain"
        return chain


_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Connections(NamedTuple):
    """What an agent is connected to beyond its primary venue: gateways by venue, the others by name."""

    specs: Mapping[str, InstrumentSpec] = _NOTHING
    gateways: Mapping[str, Gateway] = _NOTHING
    lenders: Mapping[str, LenderGateway] = _NOTHING
    windows: Mapping[str, WindowGateway] = _NOTHING
    chain: Purse | None = None
    contracts: Mapping[str, ContractGateway] = _NOTHING


class NoteTaker:
    """Called with (name, amount, unit) when an agent does something worth a line in the `milestones` table."""

    def __call__(self, name: str, amount: int | None = None, unit: str = "") -> None:
        """Take the note."""


_forget = NoteTaker()


class Agent:
    """One trader with its own account and gateway. Subclasses set `kind` and `Params` and start a process or alarms."""

    kind: ClassVar[str] = ""
    Params: ClassVar[type[AgentParams]] = AgentParams
    is_crowd: ClassVar[bool] = False

    def __init__(self, params: Any, context: Context) -> None:
        self.params = params
        self.context = context
        self.spec = context.spec
        self.stream = context.stream
        self.clock = context.clock

    def start(self) -> None:
        """Begin to act; called once, before the run."""
        self.clock.process(self.run())

    def run(self) -> Generator[SimEvent, None, None]:
        """The agent's life as a SimPy process."""
        yield from ()

    def sleep(self, delay_ns: int) -> SimEvent:
        """An event to yield: wake me after `delay_ns`."""
        return self.clock.timeout(delay_ns)


class CrowdAgent(Agent):
    """Many independent small traders behind one account; acts at arrival times through a `CrowdGateway`."""

    is_crowd = True
