"use strict";
(() => {
  const words = (text) => text.toLowerCase().split(/\s+/).filter(Boolean);
  const matches = (element, wanted) => {
    const text = element.textContent.toLowerCase();
    return wanted.every((word) => text.includes(word));
  };

  const compare = (first, second) => {
    const numbers = [Number(first), Number(second)];
    if (first !== "" && second !== "" && numbers.every(Number.isFinite)) return numbers[0] - numbers[1];
    return first.localeCompare(second, "en", { numeric: true });
  };

  for (const table of document.querySelectorAll("table[data-name]")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const key = (row) => row.cells[column]?.dataset.order ?? "";
        const rows = [...table.tBodies[0].rows];
        // What has no value stays last, whichever way the rest is sorted.
        rows.sort((a, b) => (key(a) === "") - (key(b) === "") || compare(key(a), key(b)) * (down ? -1 : 1));
        table.tBodies[0].append(...rows);
      });
    });
  }

  for (const field of document.querySelectorAll("input[data-filter]")) {
    const rows = () => [...document.querySelector(`table[data-name="${field.dataset.filter}"]`).tBodies[0].rows];
    const output = field.parentElement.querySelector("output");
    field.addEventListener("input", () => {
      const wanted = words(field.value);
      const all = rows();
      for (const row of all) row.hidden = !matches(row, wanted);
      output.textContent = wanted.length ? `${all.filter((row) => !row.hidden).length} of ${all.length} rows` : "";
    });
  }

  const gallery = (name) => document.querySelector(`[data-gallery="${name}"]`);
  if (gallery("judged")) {
    const cases = [...document.querySelectorAll("article.case")];
    const show = () => {
      const judged = gallery("judged").value;
      const flagged = gallery("flagged").checked;
      const wanted = words(gallery("words").value);
      for (const item of cases) {
        const fits = (!judged || item.dataset.judged === judged) && (!flagged || item.dataset.flagged === "yes");
        item.hidden = !(fits && matches(item, wanted));
      }
      gallery("count").textContent = `${cases.filter((item) => !item.hidden).length} of ${cases.length} cases`;
    };
    for (const name of ["judged", "flagged", "words"]) gallery(name).addEventListener("input", show);
    // A link to a case that is filtered away brings all cases back.
    addEventListener("hashchange", () => {
      const target = document.getElementById(location.hash.slice(1));
      if (target?.hidden) {
        gallery("judged").value = "";
        gallery("flagged").checked = false;
        gallery("words").value = "";
        show();
        target.scrollIntoView();
      }
    });
  }

  // A case's row, and every link to a case, opens its card.
  for (const row of document.querySelectorAll("table[data-name=cases] tbody tr")) {
    row.addEventListener("click", (event) => {
      if (!event.target.closest("a")) row.querySelector("a")?.click();
    });
  }
  const unfold = () => {
    const details = document.getElementById(location.hash.slice(1))?.querySelector(":scope > details");
    if (details) details.open = true;
  };
  addEventListener("hashchange", unfold);
  unfold();

  for (const box of document.querySelectorAll("[data-calculator]")) {
    const { terms, atZero, perPoint } = JSON.parse(box.dataset.calculator);
    // A line; a restricted cubic spline (knots); or a category, whose value is the number of its level.
    const effect = ({ coefficient, more, knots }, value) => {
      if (!more.length) return coefficient * value;
      if (!knots.length) return [0, coefficient, ...more][value];
      const [first, last, before] = [knots[0], knots.at(-1), knots.at(-2)];
      const cube = (knot) => Math.max(value - knot, 0) ** 3;
      const basis = (knot) =>
        (cube(knot) - (cube(before) * (last - knot)) / (last - before) + (cube(last) * (before - knot)) / (last - before)) /
        (last - first) ** 2;
      return more.reduce((sum, own, place) => sum + own * basis(knots[place]), coefficient * value);
    };
    const fields = [...box.querySelectorAll("[data-term]")];
    const output = box.querySelector("output");
    const show = () => {
      const texts = fields.map((field) => field.value.trim().replace(",", "."));
      if (texts.some((text) => text === "")) {
        output.textContent = "";
        return;
      }
      const values = texts.map(Number);
      if (values.some(Number.isNaN)) {
        output.textContent = "not a number";
        return;
      }
      if (terms.some((term, place) => values[place] < term.low || values[place] > term.high)) {
        output.textContent = "outside the training range: no number";
        return;
      }
      const points = terms.map((term, place) => (effect(term, values[place]) - effect(term, term.origin)) / perPoint);
      const total = points.reduce((sum, own) => sum + own, 0);
      const probability = 1 / (1 + Math.exp(-(atZero + total * perPoint)));
      const parts = terms.map((term, place) => `${points[place].toFixed(1)} for ${term.name}`);
      output.textContent = `${total.toFixed(1)} points (${parts.join(" and ")}); probability ${probability.toFixed(3)}`;
    };
    for (const field of fields) field.addEventListener("input", show);
    show();
  }

  // Paper cannot be unfolded: checklists are printed open; what is longer stands in tables/.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("#checklists details:not([open])")];
    for (const item of opened) item.open = true;
  });
  addEventListener("afterprint", () => {
    for (const item of opened) item.open = false;
  });
})();
