"use strict";
// The page's own script: unpacks columns, draws charts as they come into view, keeps their time range together,
// sorts tables, switches themes. Texts reach the document as text nodes only.
(() => {
  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const listeners = [];
  const drawn = new Map(); // id -> { element, chart, option, group }
  const ranges = new Map(); // group -> [start, end] in percent
  const lobsim = (window.lobsim = { widgets: {} });

  // --- numbers -------------------------------------------------------------------------------------------------------

  const trimmed = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
  const grouped = (value, digits) =>
    value.toLocaleString("en-US", { maximumFractionDigits: digits, minimumFractionDigits: 0 });
  const number = (value) => {
    if (value === null || value === undefined || Number.isNaN(+value)) return "-";
    const size = Math.abs(+value);
    if (size === 0) return "0";
    if (size >= 1e12) return Number(value).toExponential(2);
    if (size >= 1000) return grouped(+value, 0);
    return trimmed((+value).toFixed(Math.min(12, Math.max(0, 3 - Math.floor(Math.log10(size))))));
  };
  const short = (value) => {
    const size = Math.abs(+value);
    for (const [unit, name] of [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "k"]]) {
      if (size >= unit) return trimmed((+value / unit).toFixed(size >= 100 * unit ? 0 : size >= 10 * unit ? 1 : 2)) + name;
    }
    return number(value);
  };
  const price = (value) => {
    if (value === null || value === undefined || Number.isNaN(+value)) return "-";
    return trimmed(Number((+value).toPrecision(7)).toFixed(10)).replace(/\B(?=(\d{3})+(?!\d)(?<!\.\d*))/g, ",");
  };
  const two = (value) => String(value).padStart(2, "0");
  const clock = (ms, seconds) => {
    const when = new Date(+ms);
    const text = `${two(when.getUTCHours())}:${two(when.getUTCMinutes())}`;
    return seconds || when.getUTCSeconds() ? `${text}:${two(when.getUTCSeconds())}` : text;
  };
  const known = (form) => (value) => (value === null || value === undefined || value === "" || Number.isNaN(+value) ? "-" : form(+value));
  const formats = {
    number,
    short,
    price,
    plain: (value) => String(value),
    percent: known((value) => `${value && Math.abs(value) < 1e-4 ? +(value * 100).toPrecision(2) : trimmed((value * 100).toFixed(Math.abs(value) < 0.1 ? 2 : 1))} %`),
    points: known((value) => `${value > 0 ? "+" : ""}${trimmed((value * 100).toFixed(1))} pp`),
    parts: known((value) => `${trimmed((value * 100).toFixed(1))} pp`),
    bp: known((value) => `${trimmed((value * 1e4).toFixed(Math.abs(value) < 1e-3 ? 2 : 1))} bp`),
    multiple: known((value) => `${number(value)} x`),
    seconds: known((value) => (Math.abs(value) >= 120 ? `${trimmed((value / 60).toFixed(1))} min` : `${number(value)} s`)),
    clock: (value) => clock(value, false),
    moment: (value) => `${clock(value, true)} UTC`,
  };

  // Names that ECharts calls with a whole item: the value is found in it, then formatted.
  const last = (value) => (Array.isArray(value) ? value[value.length - 1] : value);
  const sizeOf = (item) => (item.data && item.data.size !== undefined ? item.data.size : last(item.value));
  const items = {
    named: () => (item) => item.name,
    pointer: () => (item) => formats.moment(item.value),
    bar: (form) => (item) => form(sizeOf(item)),
    size: (form) => (item) => rich([[item.name], ["", form(sizeOf(item))]]),
    cell: (form) => (item) => rich([[item.name], ["", form(last(item.value))]]),
    dot: (form) => (item) => rich([["", form(item.value[0])]]),
    box: (form) => (item) => {
      const [least, lower, middle, upper, most] = item.value.slice(-5).map(form);
      return rich([[item.name], ["median", middle], ["quartiles", `${lower} to ${upper}`], ["all", `${least} to ${most}`]]);
    },
  };
  const formatterOf = (name) => {
    const [kind, ...base] = name.split("_");
    if (Object.hasOwn(items, kind)) return items[kind](formats[base.join("_")] || formats.plain);
    return Object.hasOwn(formats, name) ? formats[name] : formats.plain;
  };

  // --- tooltips ------------------------------------------------------------------------------------------------------

  // Tooltips on a canvas always read `{style|text}` as markup, and there is no escape for it. So all that is not a brace
  // goes into a style of its own, and braces stand bare between them: `{` followed by `{` or the end is never markup.
  const plainly = (style, text) => String(text).split(/([{}])/).map((part) => (part === "{" || part === "}" || part === "" ? part : `{${style}|${part.replace(/\n/g, " ")}}`)).join("");
  // Rows of [heading], or [name, value, number of the colour among the series].
  const rich = (rows) => rows.map((row) => (row.length === 1 ? plainly("head", row[0])
    : `${row[2] === undefined ? "" : `{c${row[2]}|\u25cf} `}${row[0] === "" ? "" : `${plainly("name", row[0])}  `}${plainly("value", row[1])}`)).join("\n");
  const richStyles = (series) => Object.fromEntries([
    ["head", { color: colour("soft"), fontSize: 12, lineHeight: 20 }],
    ["name", { color: colour("soft"), fontSize: 12, lineHeight: 18 }],
    ["value", { color: colour("ink"), fontSize: 12, fontWeight: 600, lineHeight: 18 }],
    ...series.map((one, place) => [`c${place}`, { color: (one.itemStyle && one.itemStyle.color) || colour(`s${(place % 12) + 1}`), fontSize: 12 }]),
  ]);
  const MOST_ROWS = 14;
  // The tooltip of an axis: the moment or category, then every series that has a value there.
  const axisTip = (series) => (found) => {
    const rows = list(found).filter((item) => item.componentType === "series" && last(item.value) !== null && last(item.value) !== undefined);
    if (!rows.length) return "";
    const head = rows[0].axisType === "xAxis.time" ? formats.moment(rows[0].axisValue) : rows[0].axisValueLabel || rows[0].name;
    const shown = rows.slice(0, MOST_ROWS).map((item) => {
      const one = series[item.seriesIndex] || {};
      const form = (one.tooltip && one.tooltip.valueFormatter) || number;
      return [item.seriesName, form(last(item.value)), item.seriesIndex];
    });
    if (rows.length > MOST_ROWS) shown.push([`${rows.length - MOST_ROWS} more`, ""]);
    return rich([[head], ...shown]);
  };

  // --- packed columns ------------------------------------------------------------------------------------------------

  const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const inflate = async (bytes) => {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  };
  // LEB128 codes: 0 for no value, else 1 + zigzag of the difference; plain arithmetic, since shifts have 32 bits only.
  const unpack = async ({ n, m, d, b, log }) => {
    const bytes = await inflate(bytesOf(b));
    const values = new Float64Array(n).fill(NaN);
    let last = 0;
    for (let place = 0, at = 0; place < n; place++) {
      let code = 0;
      let weight = 1;
      for (; bytes[at] > 127; at++, weight *= 128) code += (bytes[at] - 128) * weight;
      code += bytes[at++] * weight;
      if (code === 0) continue;
      code -= 1;
      last += code % 2 ? -(code + 1) / 2 : code / 2;
      values[place] = log ? 10 ** ((last * m) / d) : (last * m) / d;
    }
    return values;
  };

  const colour = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();
  const plainArray = (value) => value.length > 64 && value.every((one) => typeof one !== "object" || one === null);
  const rowsOf = (value) => value.length > 64 && value.every(Array.isArray);
  const each = (value, change) => Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, change(inner)]));
  // Numbers unpacked and formatters found: once for each chart.
  const unpacked = async (value) => {
    if (Array.isArray(value)) return plainArray(value) || rowsOf(value) ? value : Promise.all(value.map(unpacked));
    if (value === null || typeof value !== "object") return value;
    if (value.$fn) return formatterOf(value.$fn);
    if (value.$points) {
      const columns = await Promise.all(value.$points.map(unpack));
      return Array.from(columns[0], (_, row) => columns.map((column) => (Number.isNaN(column[row]) ? null : column[row])));
    }
    const entries = await Promise.all(Object.entries(value).map(async ([key, inner]) => [key, await unpacked(inner)]));
    return Object.fromEntries(entries);
  };
  // Colours of the theme of the moment: whenever a chart is painted.
  const coloured = (value) => {
    if (Array.isArray(value)) return plainArray(value) || rowsOf(value) ? value : value.map(coloured);
    if (value === null || typeof value !== "object") return value;
    return value.$color ? colour(value.$color) : each(value, coloured);
  };
  const resolved = async (value) => coloured(await unpacked(value));

  // --- charts --------------------------------------------------------------------------------------------------------

  const dataOf = (id) => JSON.parse(byId(`data-${id}`).textContent);
  const list = (value) => (value === undefined ? [] : Array.isArray(value) ? value : [value]);

  // What every chart shares; what the option says itself goes first.
  const themed = (option) => {
    const text = { color: colour("soft"), fontSize: 12, fontFamily: getComputedStyle(document.body).fontFamily };
    const axis = (one) => ({
      ...one,
      axisLabel: { hideOverlap: true, ...text, ...one.axisLabel },
      axisLine: { lineStyle: { color: colour("line") }, ...one.axisLine },
      axisTick: { lineStyle: { color: colour("line") }, ...one.axisTick },
      splitLine: { lineStyle: { color: colour("grid") }, ...one.splitLine },
      nameTextStyle: { ...text, ...one.nameTextStyle },
    });
    return {
      animation: false,
      useUTC: true,
      color: Array.from({ length: 12 }, (_, place) => colour(`s${place + 1}`)),
      backgroundColor: "transparent",
      ...option,
      textStyle: { ...text, ...option.textStyle },
      xAxis: list(option.xAxis).map(axis),
      yAxis: list(option.yAxis).map(axis),
      legend: list(option.legend).map((one) => ({
        type: "scroll", icon: "roundRect", itemWidth: 12, itemHeight: 12, itemGap: 14, inactiveColor: colour("faint"),
        pageIconColor: colour("soft"), pageTextStyle: text, ...one, textStyle: { ...text, ...one.textStyle },
      })),
      tooltip: option.tooltip && {
        renderMode: "richText", confine: true, backgroundColor: colour("tip"), borderColor: colour("line"), transitionDuration: 0,
        ...(option.tooltip.trigger === "axis" ? { formatter: axisTip(list(option.series)) } : {}),
        ...option.tooltip,
        textStyle: { ...text, color: colour("ink"), rich: richStyles(list(option.series)), ...option.tooltip.textStyle },
        axisPointer: { lineStyle: { color: colour("faint") }, label: { backgroundColor: colour("soft") }, ...option.tooltip.axisPointer },
      },
      dataZoom: list(option.dataZoom).map((one) => ({
        borderColor: colour("line"), fillerColor: `${colour("accent")}22`, handleStyle: { color: colour("panel"), borderColor: colour("faint") },
        moveHandleStyle: { color: colour("line") }, emphasis: { moveHandleStyle: { color: colour("faint") } }, textStyle: text,
        dataBackground: { lineStyle: { color: colour("faint") }, areaStyle: { color: colour("line") } },
        selectedDataBackground: { lineStyle: { color: colour("accent") }, areaStyle: { color: colour("accent"), opacity: 0.15 } },
        ...one,
      })),
    };
  };

  const zoomed = (option, range) => {
    if (range) for (const zoom of option.dataZoom) [zoom.start, zoom.end] = range;
    return option;
  };

  const setRange = (group, range, from) => {
    ranges.set(group, range);
    for (const other of drawn.values()) {
      if (other.group === group && other.chart !== from) other.chart.dispatchAction({ type: "dataZoom", start: range[0], end: range[1] });
    }
  };

  const draw = async (element) => {
    const id = element.id;
    if (drawn.has(id) || element.dataset.state) return;
    element.dataset.state = "drawing";
    const { $group: group, $ranges: _, $first: __, $marks: marks, ...option } = dataOf(id);
    const chart = echarts.init(element, null, { renderer: "canvas", useDirtyRect: false });
    const one = { element, chart, option: await unpacked(option), group, marks };
    drawn.set(id, one);
    paint(one);
    let quiet = false;
    let later = 0;
    chart.on("datazoom", () => {
      if (marks) {
        clearTimeout(later);
        later = setTimeout(() => chart.setOption({ series: [{ markLine: markLine(one, option.xAxis) }] }), 60);
      }
      if (!group || quiet) return;
      const { start, end } = chart.getOption().dataZoom[0];
      const before = ranges.get(group) || [0, 100];
      if (Math.abs(before[0] - start) + Math.abs(before[1] - end) < 1e-9) return;
      quiet = true;
      setRange(group, [start, end], chart);
      quiet = false;
      showRanges();
    });
    element.dataset.state = "drawn";
  };
  const NARROW = 480; // pixels: a phone, where names of categories get less room than bars
  const paint = (one) => {
    const option = themed(coloured(one.option));
    if (one.chart.getWidth() < NARROW) for (const axis of option.yAxis) if (axis.type === "category") Object.assign(axis.axisLabel, { width: Math.min(axis.axisLabel.width || 100, 88), fontSize: 11, lineHeight: 12 });
    if (one.marks && option.series.length) option.series[0].markLine = markLine(one, option.xAxis[0]);
    one.chart.setOption(zoomed(option, one.group && ranges.get(one.group)), { notMerge: true });
  };

  // Lines at the moments of "$marks": [[ms, label, name, colour], ...]; labels that would touch become one ("3-7").
  const markLine = (one, axis) => {
    const [from, to] = ranges.get(one.group) || [0, 100];
    const width = Math.max(1, one.chart.getWidth() - 90);
    const pixels = (ms) => ((((ms - axis.min) / (axis.max - axis.min)) * 100 - from) / (to - from)) * width;
    const groups = [];
    for (const [ms, label] of one.marks) {
      const at = pixels(ms);
      const now = groups[groups.length - 1];
      if (at < -1 || at > width + 1 || !label) groups.push({ at: -Infinity, labels: [] });
      else if (now && at - now.at < 12 + 7 * text(now.labels).length) { now.labels.push(label); groups.push(null); groups[groups.length - 1] = now; }
      else groups.push({ at, labels: [label] });
    }
    const written = new Set();
    return {
      symbol: "none", silent: true, animation: false,
      data: one.marks.map(([ms, , name, shade], place) => {
        const show = groups[place].labels.length > 0 && !written.has(groups[place]);
        written.add(groups[place]);
        return {
          xAxis: ms, name,
          lineStyle: { color: colour(shade), type: "dashed", width: 1, opacity: 0.5 },
          label: { show, formatter: () => text(groups[place].labels), color: colour(shade), opacity: 1, fontSize: 11, distance: 3, position: "end", align: groups[place].labels.length > 1 ? "left" : "center" },
        };
      }),
    };
  };
  const text = (labels) => (labels.length > 1 ? `${labels[0]}\u2013${labels[labels.length - 1]}` : labels[0] || "");

  const hidden = (element) => element.offsetParent === null;
  const start = (element) => {
    if (element.dataset.part === "chart") return draw(element);
    if (element.dataset.state) return undefined;
    element.dataset.state = "drawing";
    const made = lobsim.widgets[element.dataset.kind];
    return Promise.resolve(made(element, dataOf(element.id), tools)).then(() => (element.dataset.state = "drawn"));
  };
  const tools = (Object.assign(lobsim, {
    unpack, colour, formats, clock, resolved, themed,
    onTheme: (listener) => listeners.push(listener),
    setRange: (group, range) => setRange(group, range, null),
    // Draw everything that is not in a hidden choice; resolves when all of it is there.
    drawAll: () => Promise.all([...document.querySelectorAll("[data-part=chart], [data-part=widget]")].filter((one) => !hidden(one)).map(start)),
  }));

  const watch = () => {
    const parts = document.querySelectorAll("[data-part=chart], [data-part=widget]");
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries) if (entry.isIntersecting) { seen.unobserve(entry.target); start(entry.target); }
    }, { rootMargin: "400px 0px" });
    const sized = new ResizeObserver((entries) => {
      for (const { target, contentRect } of entries) {
        const one = drawn.get(target.id);
        if (one && contentRect.width && target.dataset.state === "drawn") one.chart.resize();
      }
    });
    for (const part of parts) { seen.observe(part); if (part.dataset.part === "chart") sized.observe(part); }
    // Paper is white: what is drawn is painted light for as long as it is printed.
    let before;
    window.addEventListener("beforeprint", () => { before = root.dataset.theme || ""; root.dataset.theme = "light"; retheme(); lobsim.drawAll(); });
    window.addEventListener("afterprint", () => { if (before) root.dataset.theme = before; else delete root.dataset.theme; retheme(); });
  };

  // --- shared time range ---------------------------------------------------------------------------------------------

  // Buttons of a chart's "$ranges": [[name, start, end], ...] in percent of the time axis; they move its whole group.
  let showRanges = () => {};
  const rangeButtons = () => {
    const rows = [];
    for (const element of document.querySelectorAll("[data-part=chart]")) {
      const text = byId(`data-${element.id}`).textContent;
      if (!text.includes('"$ranges"')) continue;
      const { $ranges: choices, $group: group, $first: first } = JSON.parse(text);
      if (first !== undefined) ranges.set(group, choices[first].slice(1));
      const bar = document.createElement("div");
      bar.className = "ranges";
      for (const [name, from, to] of choices) {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = name;
        button.addEventListener("click", () => { setRange(group, [from, to], null); showRanges(); });
        rows.push([button, group, from, to]);
        bar.append(button);
      }
      element.before(bar);
    }
    showRanges = () => {
      for (const [button, group, from, to] of rows) {
        const [start, end] = ranges.get(group) || [0, 100];
        button.setAttribute("aria-pressed", String(Math.abs(start - from) + Math.abs(end - to) < 0.01));
      }
    };
    showRanges();
  };

  // --- tables, choices, theme ----------------------------------------------------------------------------------------

  const sortable = (table) => {
    const heads = [...table.tHead.rows[0].cells];
    const sort = (head, place) => {
      const ascending = head.getAttribute("aria-sort") === "descending";
      const sign = ascending ? 1 : -1;
      const key = (row) => { const text = row.cells[place].dataset.key; return text === undefined ? null : Number(text); };
      const rows = [...table.tBodies[0].rows];
      const numeric = rows.some((row) => key(row) !== null);
      rows.sort((first, second) => {
        if (!numeric) return sign * second.cells[place].textContent.localeCompare(first.cells[place].textContent) * -1;
        const [one, other] = [key(first), key(second)];
        if (one === null || other === null) return (one === null) - (other === null);
        return sign * (one - other);
      });
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      table.tBodies[0].append(...rows);
    };
    heads.forEach((head, place) => head.querySelector("button").addEventListener("click", () => sort(head, place)));
  };

  const choice = (element) => {
    const select = element.querySelector("select");
    select.addEventListener("change", () => {
      for (const option of element.querySelectorAll(".option")) option.hidden = option.dataset.option !== select.value;
      for (const one of drawn.values()) if (element.contains(one.element) && !hidden(one.element)) one.chart.resize();
    });
  };

  const theme = () => root.dataset.theme || (dark.matches ? "dark" : "light");
  const retheme = () => {
    byId("theme").textContent = theme() === "dark" ? "Light" : "Dark";
    for (const one of drawn.values()) paint(one);
    for (const listener of listeners) listener(theme());
  };
  const remembered = (value) => {
    try {
      if (value === undefined) return localStorage.getItem("lobsim-theme");
      localStorage.setItem("lobsim-theme", value);
    } catch { /* a browser may refuse storage to files */ }
    return null;
  };

  const follow = () => {
    const links = [...document.querySelectorAll("#contents a")];
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        for (const link of links) {
          const here = link.getAttribute("href") === `#${entry.target.id}`;
          if (here) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current");
          // sideways only: on a phone not all links fit
          if (here) link.parentElement.scrollTo({ left: link.offsetLeft - link.parentElement.offsetLeft - 24 });
        }
      }
    }, { rootMargin: "-15% 0px -75% 0px" });
    for (const section of document.querySelectorAll("main > section[id]")) seen.observe(section);
  };

  document.addEventListener("DOMContentLoaded", () => {
    const saved = remembered();
    if (saved === "dark" || saved === "light") root.dataset.theme = saved;
    byId("theme").addEventListener("click", () => {
      root.dataset.theme = theme() === "dark" ? "light" : "dark";
      remembered(root.dataset.theme);
      retheme();
    });
    byId("theme").textContent = theme() === "dark" ? "Light" : "Dark";
    dark.addEventListener("change", retheme);
    document.querySelectorAll("table[data-sortable]").forEach(sortable);
    document.querySelectorAll("[data-part=choice]").forEach(choice);
    rangeButtons();
    watch();
    follow();
  });
})();
