(() => {
  const WORDS = {{ words|tojson }};
  const items = [...document.querySelectorAll(".item")];
  const field = (item) => item.querySelector("input");
  let current = null;

  // What the store has, unless this browser has something newer of exactly what is shown.
  const stateOf = (item) => {
    const own = recall(item.dataset.id);
    const same = own && ["case_key", "roi_key", "input_digest"].every((name) => own[name] === item.dataset[name]);
    const newer = same && !(item.dataset.givenAt && Date.parse(item.dataset.givenAt) >= Date.parse(own.reviewed_at));
    return newer ? own : null;
  };
  const verdictOf = (item) => stateOf(item)?.verdict || item.dataset.given || "";

  const show = (item) => {
    const own = stateOf(item);
    const verdict = verdictOf(item);
    for (const button of item.querySelectorAll("[data-verdict]")) {
      button.setAttribute("aria-pressed", String(button.dataset.verdict === verdict));
    }
    item.classList.toggle("judged", Boolean(verdict));
    const by = item.dataset.givenBy ? ` by ${item.dataset.givenBy}` : "";
    const stored = verdict && !own?.verdict ? `, in the store${by}` : "";
    item.querySelector(".given").textContent = verdict ? `${WORDS[verdict]}${stored}` : "";
    const comment = own ? own.comment : (item.dataset.givenComment ?? "");
    if (document.activeElement !== field(item)) field(item).value = comment;
  };

  const showProgress = () => {
    const judged = items.filter(verdictOf).length;
    document.getElementById("progress").textContent = `${judged} of ${items.length} judged`;
  };

  const note = (item, changes) => {
    const { id, case_key, roi_key, input_digest } = item.dataset;
    const before = { verdict: verdictOf(item), comment: field(item).value };
    keep(id, { case_key, roi_key, input_digest, ...before, ...changes, reviewed_at: new Date().toISOString() });
    show(item);
    showProgress();
  };

  const select = (item) => {
    current?.classList.remove("current");
    current = item;
    item.classList.add("current");
  };

  const enter = (item) => {
    select(item);
    item.focus({ preventScroll: true });
    item.closest(".case").scrollIntoView({ block: "start" });
    // A case may be higher than the window.
    item.scrollIntoView({ block: "nearest" });
  };

  const step = (by) => {
    const place = items.indexOf(current) + by;
    if (place < 0) return;
    if (items[place]) enter(items[place]);
    else document.getElementById("end").focus();
  };

  const judge = (item, verdict) => {
    note(item, { verdict });
    const place = items.indexOf(item);
    const open = [...items.slice(place + 1), ...items.slice(0, place)].find((other) => !verdictOf(other));
    if (open) enter(open);
    else document.getElementById("end").focus();
  };

  const takeBack = (item) => {
    drop(item.dataset.id);
    show(item);
    showProgress();
  };

  const hide = () => {
    const hidden = document.body.classList.toggle("bare");
    document.getElementById("hide").setAttribute("aria-pressed", String(hidden));
  };

  for (const item of items) {
    item.addEventListener("focusin", () => select(item));
    for (const button of item.querySelectorAll("[data-verdict]")) {
      button.addEventListener("click", () => judge(item, button.dataset.verdict));
    }
    field(item).addEventListener("input", () => note(item, { comment: field(item).value }));
  }
  document.getElementById("hide").addEventListener("click", hide);
  document.getElementById("export").addEventListener("click", () => {
    download("review-{{ number }}.csv", items.map(stateOf));
  });

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    if (event.target instanceof HTMLInputElement) {
      if (event.key === "Escape" || event.key === "Enter") current.focus();
      return;
    }
    const key = event.key.toLowerCase();
    const button = current && [...current.querySelectorAll("[data-verdict]")].find((one) => one.ariaKeyShortcuts === key);
    if (key === "j") step(1);
    else if (key === "k") step(-1);
    else if (key === "h") hide();
    else if (button) judge(current, button.dataset.verdict);
    else if (key === "u" && current) takeBack(current);
    else if (key === "c" && current) field(current).focus();
    else return;
    event.preventDefault();
  });

  const showAll = () => {
    items.forEach(show);
    showProgress();
  };
  for (const event of ["pageshow", "storage"]) addEventListener(event, showAll);
  showAll();
  const first = items.find((item) => !verdictOf(item)) ?? items[0];
  if (first) select(first);
})();
