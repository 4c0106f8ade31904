// Unpacks plotly.js and the figures carried in the page, draws them, and keeps them in the reader's colour scheme.
(async () => {
  "use strict";
  for (const button of document.querySelectorAll(".copy")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(button));
  }
  const packed = document.getElementById("figures");
  if (!packed) return;
  try {
    if (typeof DecompressionStream === "undefined") {
      throw new Error("they need a browser of 2023 or later (Chrome 80, Firefox 113, Safari 16.4)");
    }
    const figures = JSON.parse(await unpack(packed));
    const script = document.createElement("script");
    script.textContent = await unpack(document.getElementById("plotly"));
    document.head.append(script);
    if (!window.Plotly) throw new Error("the plotting library did not start");
    await show(figures, [...document.querySelectorAll(".plot")]);
  } catch (error) {
    document.documentElement.classList.add("figures-off");
    const notice = document.getElementById("no-figures");
    notice.textContent = `The figures cannot be drawn here: ${error.message}. Every number in the text and the tables is complete without them.`;
    notice.hidden = false;
  }

  async function unpack(element) {
    const bytes = Uint8Array.from(atob(element.textContent), (character) => character.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  }

  async function show(figures, places) {
    const draw = () => Promise.all(figures.map((figure, index) => drawOne(figure, places[index])));
    await draw();
    places.forEach((place, index) => link(place, places.filter((_, other) =>
      other !== index && figures[index].link && figures[other].link === figures[index].link)));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    matchMedia("(max-width: 560px)").addEventListener("change", draw);
  }

  function drawOne(figure, place) {
    const touch = matchMedia("(pointer: coarse)").matches;
    const layout = painted(figure.layout);
    if (matchMedia("(max-width: 560px)").matches) override(layout, figure.narrow || {});
    place.dataset.height ??= place.style.height;
    place.style.height = layout.height ? `${layout.height}px` : place.dataset.height;
    for (const axis of Object.keys(layout).filter((name) => /^[xy]axis/.test(name))) { // drawn before: stay where the reader has zoomed to
      const { range, autorange } = place.layout?.[axis] ?? {};
      if (range) Object.assign(layout[axis], { range: [...range], autorange });
    }
    if (touch) layout.dragmode = false; // a finger over a figure goes on scrolling the page; the bar's buttons zoom
    return Plotly.react(place, painted(figure.data), layout, {
      responsive: true,
      displaylogo: false,
      displayModeBar: touch ? true : "hover",
      // named one by one: by default plotly adds a button that uploads the figure
      modeBarButtons: [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
    });
  }

  // A copy in which the style sheet's colour names, found only under keys that speak of colour, are the colours of now.
  function painted(value, key = "") {
    const colour = key.toLowerCase().includes("color");
    if (typeof value === "string") {
      const name = colour && /^var\((--[\w-]+)\)$/.exec(value);
      return name ? getComputedStyle(document.documentElement).getPropertyValue(name[1]).trim() : value;
    }
    if (Array.isArray(value)) {
      return colour || (value[0] && typeof value[0] === "object" && !Array.isArray(value[0]))
        ? value.map((item) => painted(item, key)) : value;
    }
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, painted(item, name)]));
    }
    return value;
  }

  function override(layout, narrow) {
    for (const [path, value] of Object.entries(narrow)) {
      const steps = path.split(".");
      const last = steps.pop();
      steps.reduce((part, step) => (part[step] ??= {}), layout)[last] = value;
    }
  }

  // Figures of one group zoom together.
  function link(place, others) {
    place.on("plotly_relayout", (change) => {
      const axes = Object.fromEntries(Object.entries(change).filter(([key]) => /^[xy]axis\.(range|autorange)/.test(key)));
      if (!Object.keys(axes).length || place.following) return;
      others.forEach(async (other) => {
        other.following = true;
        try { await Plotly.relayout(other, axes); } finally { other.following = false; }
      });
    });
  }

  async function copy(button) {
    const code = button.parentElement.querySelector("code");
    let done = true;
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      getSelection().selectAllChildren(code); // where the clipboard is barred, the command is left selected
      done = document.execCommand("copy");
    }
    button.textContent = done ? "Copied" : "Press Ctrl+C";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  }
})();
