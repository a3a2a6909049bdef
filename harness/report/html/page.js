"use strict";

// The browser of samples. Only the questions of one page are in the document, and texts go in as
// text: nothing that a model wrote is ever read as HTML.
(() => {
  const PAGE = 10;
  const at = (id) => document.getElementById(id);
  if (!at("controls")) return; // no suite with scores
  const data = JSON.parse(at("data").textContent);
  const texts = data.items.map((item) =>
    [item.name, item.slices, ...item.targets, ...item.answers.map((one) => `${one[2]} ${one[3]}`)]
      .join("\n")
      .toLowerCase(),
  );
  let found = [];
  let first = 0;

  function add(parent, tag, text, name) {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (name) element.className = name;
    parent.append(element);
    return element;
  }

  function words(score) {
    if (score === null) return ["no score", ""];
    if (score === 1) return ["✓ 1", "right"];
    if (score === 0) return ["✗ 0", "wrong"];
    return [`~ ${score.toFixed(2)}`, ""];
  }

  function show(item) {
    const box = add(at("items"), "article", undefined, "item");
    add(box, "h3", `${data.suites[item.suite]}: ${item.name}`);
    const targets = item.targets.length ? item.targets.join(" | ") : "none: the context does not say";
    const about = add(box, "p", undefined);
    add(about, "bdi", `Right: ${targets}`);
    const more = [item.slices, item.disagree ? "backends disagree" : ""].filter(Boolean).join("; ");
    if (more) about.append(`. ${more}`);
    const list = add(box, "dl");
    for (const [backend, score, answer, failed] of [...item.answers].sort((a, b) => a[0] - b[0])) {
      const group = add(list, "div");
      const [text, kind] = words(score);
      add(group, "dt", `${data.backends[backend]} `);
      add(group, "dd", `${item.metric} ${text}`, `score ${kind}`);
      const shown = add(group, "dd", answer || (failed ? "" : "(empty answer)"));
      shown.dir = "auto";
      if (failed) add(group, "dd", failed, "score");
    }
  }

  function draw() {
    at("items").replaceChildren();
    for (const number of found.slice(first, first + PAGE)) show(data.items[number]);
    const last = Math.min(first + PAGE, found.length);
    at("status").textContent = found.length
      ? `${first + 1} to ${last} of ${found.length}`
      : "No question matches. Remove a filter.";
    at("before").disabled = first === 0;
    at("after").disabled = last === found.length;
  }

  function filter() {
    const suite = at("suite").value;
    const wanted = at("search").value.trim().toLowerCase();
    found = [...data.items.keys()].filter((number) => {
      const item = data.items[number];
      return (
        (suite === "" || item.suite === Number(suite)) &&
        (!at("disagree").checked || item.disagree) &&
        (wanted === "" || texts[number].includes(wanted))
      );
    });
    first = 0;
    draw();
  }

  function move(step) {
    first += step;
    draw();
    at("controls").scrollIntoView({ block: "nearest" });
  }

  data.suites.forEach((name, number) => {
    const option = add(at("suite"), "option", name);
    option.value = number;
  });
  at("suite").addEventListener("change", filter);
  at("disagree").addEventListener("change", filter);
  at("search").addEventListener("input", filter);
  at("before").addEventListener("click", () => move(-PAGE));
  at("after").addEventListener("click", () => move(PAGE));
  at("controls").hidden = false;
  filter();
})();

// A printed page has no folds to open.
(() => {
  const folds = () => document.querySelectorAll("details:not([open])");
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...folds()];
    for (const fold of opened) fold.open = true;
  });
  addEventListener("afterprint", () => {
    for (const fold of opened) fold.open = false;
  });
})();
