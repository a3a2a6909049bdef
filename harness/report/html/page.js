"use strict";

// The browser of samples. Only the questions of one page are in the document, and texts go in as
// text: nothing that a model wrote is ever read as HTML.
(() => {
  const PAGE = 10;
  const at = (id) => document.getElementById(id);
  if (!at("controls")) return; // no suite with scores
  const data = JSON.parse(at("data").textContent);
  const flags = ["disagree", "invented", "cut"];
  const has = (item, flag) => (flag === "disagree" ? item.disagree : item[flag].length > 0);
  const texts = data.items.map((item) =>
    [item.question || "", item.name, item.slices, ...item.targets]
      .concat(item.answers.map((one) => `${one[2]} ${one[3]}`))
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

  // Letters of a context between all places where a mark begins or ends, each with its marks.
  function mark(parent, text, support, passages) {
    const ends = new Set([0, text.length, ...support.flat(), ...passages.flat()]);
    const cuts = [...ends].sort((a, b) => a - b);
    const within = (spans, from) => spans.some(([a, b]) => a <= from && from < b);
    cuts.slice(1).forEach((to, number) => {
      const from = cuts[number];
      const piece = text.slice(from, to);
      const kinds = [within(support, from) && "support", within(passages, from) && "passage"];
      const named = kinds.filter(Boolean).join(" ");
      if (named) add(parent, "mark", piece, named);
      else parent.append(piece);
    });
  }

  function showContext(box, item) {
    const text = data.contexts[item.context];
    const fold = add(box, "details", undefined, "context");
    const owners = Object.keys(item.passages);
    const what = ["Context"];
    if (item.support.length) what.push("the sentence that proves the answer is underlined");
    if (owners.length) what.push("retrieved passages are shaded");
    add(fold, "summary", what.join("; "));
    let shown = owners.find((one) => item.passages[one].length);
    const draw = () => {
      for (const old of fold.querySelectorAll("div")) old.remove();
      if (owners.length > 1) {
        const row = add(fold, "div", undefined, "owners");
        for (const one of owners) {
          const button = add(row, "button", `passages of ${data.backends[one]}`);
          button.type = "button";
          button.setAttribute("aria-pressed", one === shown);
          button.addEventListener("click", () => {
            shown = one;
            draw();
          });
        }
      }
      const body = add(fold, "div", undefined, "text");
      body.dir = "auto";
      mark(body, text, item.support, item.passages[shown] || []);
    };
    fold.addEventListener("toggle", () => fold.open && draw());
  }

  function show(item) {
    const box = add(at("items"), "article", undefined, "item");
    box.tabIndex = -1;
    const title = add(box, "h3");
    add(title, "bdi", item.question || item.name);
    const targets = item.targets.length ? item.targets.join(" | ") : "none: the context does not say";
    const about = add(box, "p");
    add(about, "b", "Right: ");
    add(about, "bdi", targets);
    const more = [`${data.suites[item.suite]}: ${item.name}`, item.slices];
    if (item.disagree) more.push("backends disagree");
    add(box, "p", more.filter(Boolean).join("; "), "about");
    if (item.context !== undefined) showContext(box, item);
    const list = add(box, "dl");
    for (const [backend, score, answer, failed] of [...item.answers].sort((a, b) => a[0] - b[0])) {
      const [text, kind] = words(score);
      const group = add(list, "div", undefined, kind);
      add(group, "dt", `${data.backends[backend]} `);
      const said = ["invented", "cut"].filter((flag) => item[flag].includes(backend));
      add(group, "dd", [`${item.metric} ${text}`, ...said].join(", "), `score ${kind}`);
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
        flags.every((flag) => !at(flag).checked || has(item, flag)) &&
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
  for (const flag of flags) {
    const many = data.items.filter((item) => has(item, flag)).length;
    at(flag).addEventListener("change", filter);
    at(flag).disabled = many === 0;
    at(flag).parentElement.append(` (${many})`);
  }
  at("search").addEventListener("input", filter);
  at("before").addEventListener("click", () => move(-PAGE));
  at("after").addEventListener("click", () => move(PAGE));

  // One key each, as long as nobody is writing: the next question, its context, pages, the search.
  function step(by) {
    const boxes = [...document.querySelectorAll(".item")];
    const here = boxes.indexOf(document.activeElement.closest(".item"));
    const next = boxes[here < 0 ? 0 : here + by];
    if (!next) return;
    next.focus();
    next.scrollIntoView({ block: "start" });
  }
  const page = (button) => at(button).disabled || at(button).click();
  const keys = {
    j: () => step(1),
    k: () => step(-1),
    n: () => page("after"),
    p: () => page("before"),
    c: () => {
      const fold = document.activeElement.closest(".item")?.querySelector(".context");
      if (fold) fold.open = !fold.open;
    },
    "/": () => at("search").focus(),
  };
  document.addEventListener("keydown", (event) => {
    const writes = event.target.matches("input, select, textarea");
    if (writes || event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  at("controls").hidden = false;
  filter();
})();

// A link to a fold opens it, and paper has the verdicts of all suites: nobody can open them there.
(() => {
  const reveal = () => {
    const aim = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    if (aim && aim.tagName === "DETAILS") aim.open = true;
  };
  addEventListener("hashchange", reveal);
  for (const link of document.querySelectorAll("nav a")) {
    link.addEventListener("click", () => setTimeout(reveal)); // the same link again: no new hash
  }
  reveal();
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll(".suite:not([open])")];
    for (const fold of opened) fold.open = true;
  });
  addEventListener("afterprint", () => {
    for (const fold of opened) fold.open = false;
  });
})();
