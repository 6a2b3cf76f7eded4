"use strict";
// The book picture: a heat map of what stood at which price, and the ladder at the moment that the slider is at.
// Data: lobsim/report/page/book_picture.py. Texts reach the document as text nodes only.
(() => {
  const FRAMES_PER_SECOND = 12;
  const NEAR_MS = 30000;

  const make = (tag, name, text) => {
    const made = document.createElement(tag);
    if (name) made.className = name;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const lastUpTo = (sorted, value) => {
    let low = 0;
    for (let high = sorted.length; low < high;) {
      const middle = (low + high) >> 1;
      if (sorted[middle] <= value) low = middle + 1; else high = middle;
    }
    return low - 1;
  };

  // --- a book's data ---------------------------------------------------------------------------------------------------

  // Ladders of all frames, best level first, from changes: prices in ticks and lots, NaN where there is no level.
  const ladders = async (packed, unpack) => {
    const [bids, asks, prices, lots] = await Promise.all(["bids", "asks", "price_ticks", "lots"].map((key) => unpack(packed[key])));
    const { levels } = packed;
    const frames = bids.length;
    const made = [0, 1].map(() => ({ price: new Float64Array(frames * levels).fill(NaN), lots: new Float64Array(frames * levels).fill(NaN) }));
    const books = [new Map(), new Map()];
    let at = 0;
    for (let frame = 0; frame < frames; frame++) {
      [bids[frame], asks[frame]].forEach((changes, side) => {
        const book = books[side];
        for (let rest = changes; rest > 0; rest--, at++) {
          if (lots[at] > 0) book.set(prices[at], lots[at]); else book.delete(prices[at]);
        }
        const ordered = [...book.keys()].sort(side ? (a, b) => a - b : (a, b) => b - a);
        for (const price of ordered.splice(levels)) book.delete(price);
        ordered.forEach((price, place) => {
          made[side].price[frame * levels + place] = price;
          made[side].lots[frame * levels + place] = book.get(price);
        });
      });
    }
    return made;
  };

  const opened = async (data, book, times, unpack) => {
    const [edges, cells, bids, asks, last, ladder, ...dots] = await Promise.all([
      unpack(book.edges), unpack(book.cells), unpack(book.near[0]), unpack(book.near[1]), unpack(book.last),
      ladders(book.ladder, unpack), ...["ms", "price_ticks", "value", "kind"].map((key) => unpack(book.dots[key])),
    ]);
    const own = book.detail ? times : Float64Array.from(data.fewer, (place) => times[place]);
    const price = (ticks) => (ticks * book.tick[0]) / book.tick[1];
    const value = (ticks, lots) => (price(ticks) * lots * book.lot[0]) / book.lot[1];
    const { levels } = book.ladder;
    const sums = [];
    for (const side of ladder) {
      for (let frame = 0; frame < own.length; frame++) {
        let sum = 0;
        for (let place = frame * levels; place < (frame + 1) * levels && side.lots[place] > 0; place++) sum += value(side.price[place], side.lots[place]);
        if (sum > 0) sums.push(sum);
      }
    }
    sums.sort((a, b) => a - b);
    // bars share one scale through all frames, or else an empty book would look like a full one
    const most = sums.length ? sums[Math.floor(0.9 * (sums.length - 1))] : 1;
    return { ...book, times: own, edges, cells, near: [bids, asks], last, ladder, levels, dots, price, value, most };
  };

  // --- colours ---------------------------------------------------------------------------------------------------------

  const rgb = (text) => {
    const hex = text.replace("#", "");
    return [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16));
  };
  const mixed = (one, other, share) => one.map((part, at) => Math.round(part + (other[at] - part) * share));
  // From a tint of the panel over the side's own colour to one that stands out from the panel most.
  const ramp = (panel, side, far, steps) => Array.from({ length: steps }, (_, step) => {
    const place = steps > 1 ? step / (steps - 1) : 1;
    return place < 0.6 ? mixed(panel, side, 0.16 + (0.84 * place) / 0.6) : mixed(side, far, (0.5 * (place - 0.6)) / 0.4);
  });

  // --- the widget ------------------------------------------------------------------------------------------------------

  lobsim.widgets.book = async (element, data, tools) => {
    const { unpack, colour, formats, themed, onTheme } = tools;
    const times = await unpack(data.times);
    const cache = new Map();
    const state = { book: null, frame: 0, timer: null, looks: null, size: null };

    const fine = times.some((ms) => ms % 1000);
    const days = Math.floor(data.start_ms / 864e5) !== Math.floor((data.start_ms + data.end_ms) / 864e5);
    const clock = (ms) => new Date(data.start_ms + ms).toISOString().slice(days ? 0 : 11, fine ? 23 : 19).replace("T", " ");

    // --- elements
    const box = make("div", "book");
    const bar = make("div", "book-bar");
    const pick = make("select");
    pick.setAttribute("aria-label", "Instrument");
    const groups = new Map();
    data.books.forEach((book, place) => {
      if (book.group && !groups.has(book.group)) {
        groups.set(book.group, pick.appendChild(make("optgroup")));
        groups.get(book.group).label = book.group;
      }
      const option = make("option", "", book.name);
      option.value = String(place);
      (groups.get(book.group) || pick).append(option);
    });
    const label = make("label", "", "Book ");
    label.append(pick);
    if (data.books.length < 2) label.hidden = true;
    const ranges = make("div", "ranges");
    const key = make("div", "book-key");
    bar.append(label, ranges, key);

    const heat = make("div", "book-heat");
    const canvas = make("div", "book-canvas");
    canvas.setAttribute("role", "img");
    const cursor = make("div", "book-cursor");
    heat.append(canvas, cursor);
    const tip = make("p", "book-tip");

    const time = make("div", "book-time");
    const play = make("button", "book-play", "Play");
    play.type = "button";
    const slider = make("input");
    slider.type = "range";
    slider.min = "0";
    slider.step = "1";
    slider.setAttribute("aria-label", "Moment");
    const jump = make("select");
    jump.setAttribute("aria-label", "Go to a milestone");
    jump.append(make("option", "", "Go to ..."));
    jump.firstChild.value = "";
    data.marks.forEach((mark, place) => {
      const option = jump.appendChild(make("option", "", `${clock(mark.ms)} ${mark.name}`));
      option.value = String(place);
    });
    jump.hidden = !data.marks.length;
    time.append(play, slider, jump);

    const side = make("div", "book-side");
    const now = make("p", "book-now");
    const near = make("p", "book-near");
    near.hidden = !data.marks.length;
    const facts = make("dl", "book-facts");
    const fact = (name, shown) => {
      const term = make("dt", "", name);
      const value = make("dd");
      value.dataset.fact = shown;
      facts.append(term, value);
      return { term, value };
    };
    const bestBid = fact("best bid", "bid");
    const bestAsk = fact("best ask", "ask");
    const nearBids = fact("", "near-bids");
    const nearAsks = fact("", "near-asks");
    const lastTrade = fact("last trade", "last");
    const ladder = make("div", "book-ladder");
    side.append(now, near, facts, ladder);
    const left = make("div", "book-left");
    left.append(heat, tip, time);
    box.append(bar, left, side);
    element.replaceChildren(box);

    // --- the ladder
    const rows = [];
    const emptied = [];
    let middle;
    const rowOf = (name) => {
      const row = make("div", `book-row ${name}`);
      const bars = make("span", "book-bars");
      const parts = { row, price: make("span", "price"), far: make("span", "far"), all: make("span", "all"), own: make("span", "own"), sum: make("span", "sum") };
      bars.append(parts.all, parts.own);
      row.append(parts.price, parts.far, bars, parts.sum);
      return parts;
    };
    const buildLadder = (levels, quote) => {
      ladder.replaceChildren();
      const head = rowOf("head");
      head.price.textContent = "price";
      head.far.textContent = "to last";
      head.sum.textContent = quote ? `up to here, ${quote}` : "up to here";
      head.row.title = `bars and sums in ${quote}: a level, and all levels up to it`;
      const [bids, asks] = ["bid", "ask"].map((name) => Array.from({ length: levels }, () => rowOf(name)));
      const none = ["bids", "asks"].map((name) => make("div", "book-none", `no ${name}`));
      middle = [make("span"), make("span")];
      const line = make("div", "book-mid");
      line.append(...middle);
      ladder.append(head.row, none[1], ...[...asks].reverse().map((one) => one.row), line, ...bids.map((one) => one.row), none[0]);
      rows.splice(0, 2, bids, asks);
      emptied.splice(0, 2, ...none);
    };
    const percent = (share) => `${share > 0 ? "+" : ""}${(share * 100).toFixed(Math.abs(share) < 0.1 ? 2 : 1)} %`;
    const showLadder = () => {
      const { book, frame } = state;
      const from = frame * book.levels;
      const last = book.last[frame];
      const best = [];
      book.ladder.forEach((levels, number) => {
        let sum = 0;
        best.push(levels.price[from]);
        emptied[number].hidden = !Number.isNaN(levels.price[from]);
        rows[number].forEach((row, place) => {
          const price = levels.price[from + place];
          const there = !Number.isNaN(price);
          const value = there ? book.value(price, levels.lots[from + place]) : 0;
          sum += value;
          row.row.style.visibility = there ? "visible" : "hidden";
          row.price.textContent = there ? book.price(price).toFixed(book.digits) : "";
          row.far.textContent = there && last ? percent(price / last - 1) : "";
          row.all.style.width = `${Math.min(100, (100 * sum) / book.most)}%`;
          row.own.style.width = `${Math.min(100, (100 * value) / book.most)}%`;
          row.sum.textContent = there ? formats.short(sum) : "";
        });
      });
      const [bid, ask] = best;
      const written = (ticks) => book.price(ticks).toFixed(book.digits);
      const both = !Number.isNaN(bid) && !Number.isNaN(ask);
      middle[0].textContent = both ? "spread" : "one side is empty";
      if (Number.isNaN(bid) && Number.isNaN(ask)) middle[0].textContent = "nothing in the book";
      middle[1].textContent = both ? `${written(ask - bid)}  (${(200 * (ask - bid) / (ask + bid)).toFixed(2)} %)` : "";
      bestBid.value.textContent = Number.isNaN(bid) ? "no bids" : `${written(bid)} ${book.quote}`;
      bestAsk.value.textContent = Number.isNaN(ask) ? "no asks" : `${written(ask)} ${book.quote}`;
      bestBid.value.classList.toggle("book-none", Number.isNaN(bid));
      bestAsk.value.classList.toggle("book-none", Number.isNaN(ask));
      nearBids.value.textContent = `${formats.short(book.near[0][frame])} ${book.quote}`;
      nearAsks.value.textContent = `${formats.short(book.near[1][frame])} ${book.quote}`;
      const moved = last && book.reference_ticks ? `  (${percent(last / book.reference_ticks - 1)})` : "";
      lastTrade.value.textContent = last ? `${written(last)}${moved}` : "none yet";
    };

    // --- the moment
    const showNear = (ms) => {
      const before = data.marks.filter((mark) => mark.ms <= ms && ms - mark.ms <= NEAR_MS);
      const after = data.marks.filter((mark) => mark.ms > ms && mark.ms - ms <= NEAR_MS);
      const said = (mark) => `${mark.name} (${mark.ms <= ms ? `${Math.round((ms - mark.ms) / 1000)} s ago` : `in ${Math.round((mark.ms - ms) / 1000)} s`})`;
      near.textContent = [...before.slice(-2), ...after.slice(0, 1)].map(said).join(", ");
    };
    const placeCursor = () => {
      if (!state.chart || !state.area) return;
      const left = state.chart.convertToPixel({ xAxisIndex: 0 }, data.start_ms + state.book.times[state.frame]);
      const inside = left >= state.area.x - 1 && left <= state.area.x + state.area.width + 1;
      cursor.style.display = inside ? "block" : "none";
      cursor.style.left = `${left - 1}px`;
      cursor.style.top = `${state.area.y}px`;
      cursor.style.height = `${state.area.height}px`;
    };
    const show = (frame) => {
      const { book } = state;
      state.frame = Math.max(0, Math.min(book.times.length - 1, frame));
      const ms = book.times[state.frame];
      slider.value = String(state.frame);
      slider.setAttribute("aria-valuetext", `${clock(ms)} UTC`);
      now.textContent = `${clock(ms)} UTC`;
      element.dataset.ms = String(ms);
      showNear(ms);
      showLadder();
      placeCursor();
    };
    const showAt = (ms) => show(Math.max(0, lastUpTo(state.book.times, ms + 1e-6)));
    const stop = () => {
      clearInterval(state.timer);
      state.timer = null;
      play.textContent = "Play";
    };
    const start = () => {
      if (state.frame >= state.book.times.length - 1) showAt(data.window_ms[0]);
      play.textContent = "Pause";
      state.timer = setInterval(() => {
        if (state.frame >= state.book.times.length - 1) stop(); else show(state.frame + 1);
      }, 1000 / FRAMES_PER_SECOND);
    };
    play.addEventListener("click", () => (state.timer ? stop() : start()));
    slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
    jump.addEventListener("change", () => {
      if (jump.value) { stop(); showAt(data.marks[Number(jump.value)].ms); }
      jump.value = "";
    });

    // --- the heat map
    const looks = () => {
      const [panel, bid, ask] = ["panel", "bid", "ask"].map((name) => rgb(colour(name)));
      const far = panel[0] > 128 ? [10, 16, 24] : [255, 255, 240];
      const ramps = [ramp(panel, bid, far, data.colours), ramp(panel, ask, far, data.colours)];
      const pixel = ([r, g, b]) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
      state.looks = { ramps, pixels: ramps.map((steps) => Uint32Array.from([0, ...steps.map(pixel)])) };
    };
    const toAxis = (price) => (state.book.log ? Math.log(price) : price);
    const fromAxis = (value) => (state.book.log ? Math.exp(value) : value);
    const ticksOf = (price) => (price * state.book.tick[1]) / state.book.tick[0];
    const isBid = (row, frame) => state.book.edges[row] <= state.book.ladder[0].price[frame * state.book.levels];
    // The last price goes into the picture too. A jump of the price is not drawn: it would cover the hole.
    const JUMP = 0.03;
    const drawLast = (context, frames, rowAt, thick) => {
      const { last } = state.book;
      context.fillStyle = colour("price");
      let before = NaN;
      frames.forEach((frame, x) => {
        const y = frame < 0 || Number.isNaN(last[frame]) ? NaN : rowAt(last[frame]);
        if (!Number.isNaN(y)) {
          const joined = Math.abs(y - before) <= JUMP * context.canvas.height ? before : y;
          context.fillRect(x, Math.min(y, joined) - thick / 2, 1, Math.abs(y - joined) + thick);
        }
        before = y;
      });
    };
    // The part of the picture that is in view, pixel by pixel: every column is the book at the last frame before it.
    const painted = (width, height, times01, prices01, thick) => {
      const { book } = state;
      const picture = make("canvas");
      picture.width = Math.max(1, Math.round(width));
      picture.height = Math.max(1, Math.round(height));
      const context = picture.getContext("2d");
      const image = context.createImageData(picture.width, picture.height);
      const pixels = new Uint32Array(image.data.buffer);
      const rowsOf = Int32Array.from({ length: picture.height }, (_, y) => {
        const value = prices01[1] + ((y + 0.5) / picture.height) * (prices01[0] - prices01[1]);
        const row = lastUpTo(book.edges, ticksOf(fromAxis(value)));
        return row < book.edges.length - 1 ? row : -1;
      });
      const [bids, asks] = state.looks.pixels;
      const framesOf = Array.from({ length: picture.width }, (_, x) =>
        lastUpTo(book.times, times01[0] + ((x + 0.5) / picture.width) * (times01[1] - times01[0]) - data.start_ms));
      framesOf.forEach((frame, x) => {
        if (frame < 0) return;
        for (let y = 0; y < picture.height; y++) {
          const row = rowsOf[y];
          if (row < 0) continue;
          const code = book.cells[row * book.times.length + frame];
          if (code) pixels[y * picture.width + x] = (isBid(row, frame) ? bids : asks)[code];
        }
      });
      context.putImageData(image, 0, 0);
      const rowAt = (ticks) => ((prices01[1] - toAxis(book.price(ticks))) / (prices01[1] - prices01[0])) * picture.height;
      drawLast(context, framesOf, rowAt, thick);
      return picture;
    };
    const priceTicks = (low, high) => {
      if (high < 3 * low) {
        const rough = (high - low) / 9;
        const unit = 10 ** Math.floor(Math.log10(rough));
        const step = [1, 2, 5, 10].map((digit) => digit * unit).find((one) => one >= rough);
        return Array.from({ length: 14 }, (_, at) => (Math.ceil(low / step) + at) * step).filter((one) => one <= high);
      }
      const found = (digits) => {
        const made = [];
        for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
          for (const digit of digits) if (digit * 10 ** power >= low && digit * 10 ** power <= high) made.push(digit * 10 ** power);
        }
        return made;
      };
      const choices = [[1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8], [1, 1.5, 2, 3, 5, 7], [1, 2, 5], [1]].map(found);
      return choices.find((made) => made.length <= 10) || choices.at(-1);
    };
    const option = () => {
      const { book } = state;
      const [low, high] = [book.price(book.edges[0]), book.price(book.edges.at(-1))];
      const [from, to] = [data.start_ms, data.start_ms + Math.max(1, data.end_ms)];
      const biggest = Math.max(1e-300, ...book.dots[2]);
      const axis = (ticks) => toAxis(book.price(ticks));
      const marked = priceTicks(low, high);
      const digits = Math.min(book.digits, Math.max(0, ...marked.map((one) => (String(+one.toPrecision(9)).split(".")[1] || "").length)));
      return themed({
        grid: { left: 8, right: 12, top: data.marks.length ? 34 : 8, bottom: 44, containLabel: true },
        tooltip: { trigger: "item" },
        xAxis: {
          type: "time", min: from, max: to, axisLabel: { formatter: (ms) => (to - from < 3e5 ? clock(ms - data.start_ms) : formats.clock(ms)) }, splitLine: { show: false },
        },
        yAxis: {
          type: "value", min: toAxis(low), max: toAxis(high), splitLine: { show: false },
          axisTick: { customValues: marked.map(toAxis) },
          axisLabel: { customValues: marked.map(toAxis), formatter: (value) => fromAxis(value).toFixed(digits) },
        },
        dataZoom: [{ type: "slider", height: 18, bottom: 4, filterMode: "none", showDetail: false, brushSelect: false, showDataShadow: false, startValue: state.window[0], endValue: state.window[1] }],
        series: [
          {
            type: "custom", name: "depth", silent: true, clip: true, z: 1, data: [[from, toAxis(low)]], tooltip: { show: false },
            renderItem: ({ coordSys }) => {
              // on whole pixels, or else the picture is blurred
              const [x, y] = [Math.round(coordSys.x), Math.round(coordSys.y)];
              const [width, height] = [Math.round(coordSys.x + coordSys.width) - x, Math.round(coordSys.y + coordSys.height) - y];
              const scale = window.devicePixelRatio || 1;
              const at = (px, py) => state.chart.convertFromPixel({ gridIndex: 0 }, [px, py]);
              const [begin, end] = [at(x, y + height), at(x + width, y)];
              state.area = { x, y, width, height };
              const image = painted(width * scale, height * scale, [begin[0], end[0]], [begin[1], end[1]], 2 * scale);
              return { type: "image", style: { image, x, y, width, height }, silent: true };
            },
          },
          {
            type: "scatter", name: data.dots, z: 4, itemStyle: { color: colour("s4"), borderColor: colour("price"), borderWidth: 0.6, opacity: 0.9 },
            symbolSize: (item) => 3 + 12 * Math.sqrt(item[2] / biggest), emphasis: { disabled: true },
            markLine: {
              symbol: "none", silent: true, animation: false,
              data: data.marks.map((mark) => ({
                xAxis: from + mark.ms, name: mark.short,
                lineStyle: { color: colour(mark.short ? "soft" : "faint"), type: [3, 4], width: 1, opacity: mark.short ? 1 : 0.6 },
                label: { show: Boolean(mark.short), formatter: ({ name }) => name, color: colour("ink"), fontSize: 11, distance: mark.high ? [0, 16] : [0, 3] },
              })),
            },
            data: Array.from(book.dots[0], (ms, dot) => [from + ms, axis(book.dots[1][dot]), book.dots[2][dot], book.dots[3][dot]]),
            tooltip: {
              formatter: ({ value }) =>
                `${clock(value[0] - from)} UTC\n${book.dots_kinds[value[3]]}\n${formats.short(value[2])} ${book.quote} at ${formats.price(fromAxis(value[1]))}`,
            },
          },
        ],
      });
    };
    const drawKey = () => {
      const { book, looks: { ramps } } = state;
      const [low, high] = book.scale.map(formats.short);
      const span = (...parts) => { const made = make("span"); made.append(...parts); return made; };
      const scale = (name, steps) => {
        const strip = make("span", "book-ramp");
        strip.style.background = `linear-gradient(90deg, ${steps.map((one) => `rgb(${one.join(",")})`).join(",")})`;
        return span(make("span", "", name), strip);
      };
      key.replaceChildren(
        scale("bids", ramps[0]), scale("asks", ramps[1]), make("span", "", `${low} to ${high} ${book.quote} per cell, log scale`),
        span(make("span", "book-empty"), "nothing"), span(make("span", "book-line"), "last price"),
        ...(book.dots[0].length ? [span(make("span", "book-dot"), data.dots)] : []),
      );
    };
    const drawHeat = () => {
      if (!state.chart) {
        state.chart = echarts.init(canvas, null, { renderer: "canvas", useDirtyRect: false });
        state.chart.on("datazoom", () => {
          const [zoom] = state.chart.getOption().dataZoom;
          state.window = [zoom.startValue, zoom.endValue];
          showRanges();
          requestAnimationFrame(placeCursor);
        });
        const pointed = (event) => {
          const at = [event.offsetX, event.offsetY];
          return state.chart.containPixel({ gridIndex: 0 }, at) ? state.chart.convertFromPixel({ gridIndex: 0 }, at) : null;
        };
        state.chart.getZr().on("click", (event) => {
          const at = pointed(event);
          if (at) { stop(); showAt(at[0] - data.start_ms); }
        });
        state.chart.getZr().on("mousemove", (event) => { const at = pointed(event); tip.textContent = at ? cellText(at) : idle; });
        state.chart.getZr().on("globalout", () => { tip.textContent = idle; });
        new ResizeObserver(() => { state.chart.resize(); placeCursor(); }).observe(canvas);
      }
      state.chart.setOption(option(), { notMerge: true });
      canvas.setAttribute("aria-label", `Depth of ${state.book.name} by price and time; the slider below shows each moment as a ladder`);
      drawKey();
      placeCursor();
    };
    const idle = "Click into the picture to go to that moment; arrow keys move the slider.";
    const cellText = ([ms, value]) => {
      const { book } = state;
      const frame = lastUpTo(book.times, ms - data.start_ms);
      const row = lastUpTo(book.edges, ticksOf(fromAxis(value)));
      const where = `${clock(ms - data.start_ms)} UTC, ${formats.price(fromAxis(value))} ${book.quote}: `;
      const code = frame >= 0 && row >= 0 && row < book.edges.length - 1 ? book.cells[row * book.times.length + frame] : 0;
      if (!code) return `${where}nothing`;
      const depth = book.scale[0] * (book.scale[1] / book.scale[0]) ** ((code - 1) / (data.colours - 1));
      const cell = `${formats.price(book.price(book.edges[row]))} to ${formats.price(book.price(book.edges[row + 1]))}`;
      return `${where}about ${formats.short(depth)} ${book.quote} of ${isBid(row, frame) ? "bids" : "asks"} from ${cell}`;
    };
    const zooms = [["The crash", data.window_ms], ["Whole run", [0, Math.max(1, data.end_ms)]]].map(([name, window]) => {
      const button = make("button", "", name);
      button.type = "button";
      const range = window.map((ms) => data.start_ms + ms);
      button.addEventListener("click", () => state.chart.dispatchAction({ type: "dataZoom", startValue: range[0], endValue: range[1] }));
      ranges.append(button);
      return { button, range };
    });
    const showRanges = () => {
      for (const { button, range } of zooms) {
        const here = range.every((edge, at) => Math.abs(edge - state.window[at]) < 0.002 * data.end_ms);
        button.setAttribute("aria-pressed", String(here));
      }
    };
    ranges.hidden = data.whole;

    const choose = async (place) => {
      const book = data.books[place];
      if (!cache.has(place)) cache.set(place, await opened(data, book, times, unpack));
      const ms = state.book ? state.book.times[state.frame] : null;
      state.book = { ...cache.get(place), dots_kinds: book.dots.kinds };
      slider.max = String(state.book.times.length - 1);
      nearBids.term.textContent = `bids within ${data.near_pct} %`;
      nearAsks.term.textContent = `asks within ${data.near_pct} %`;
      buildLadder(state.book.levels, book.quote);
      showAt(ms === null ? (book.shown_ms === null ? data.end_ms / 2 : book.shown_ms) : ms);
      drawHeat();
    };
    pick.addEventListener("change", () => { stop(); choose(Number(pick.value)); });
    onTheme(() => { looks(); drawHeat(); });
    state.window = zooms[0].range;
    tip.textContent = idle;
    looks();
    await choose(0);
    showRanges();
  };
})();
