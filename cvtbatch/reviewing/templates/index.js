(() => {
  const idsOf = (row) => row.dataset.ids.match(/.{8}/g) ?? [];
  const rows = [...document.querySelectorAll("tr[data-ids]")];
  const entries = () => rows.flatMap(idsOf).map(recall);

  const show = () => {
    let judged = 0;
    let all = 0;
    const counts = {};
    for (const row of rows) {
      const ids = idsOf(row);
      const found = ids.map(recall);
      const done = found.filter((entry, place) => entry?.verdict || place < Number(row.dataset.given)).length;
      for (const entry of found) if (entry?.verdict) counts[entry.verdict] = (counts[entry.verdict] ?? 0) + 1;
      row.querySelector(".judged").textContent = done;
      row.querySelector("progress").value = done;
      judged += done;
      all += ids.length;
    }
    document.getElementById("all").value = judged;
    document.getElementById("all-text").textContent = `${judged} of ${all} judged`;
    for (const count of document.querySelectorAll("[data-count]")) count.textContent = counts[count.dataset.count] ?? 0;
  };

  document.getElementById("export").addEventListener("click", () => download("review.csv", entries()));
  // Also where the browser brings the page back as it was left.
  for (const event of ["pageshow", "focus", "storage"]) addEventListener(event, show);
  show();
})();
