// What this browser keeps: an entry an item, by an id that follows from what is looked at.
const PREFIX = {{ prefix|tojson }};
const COLUMNS = ["case_key", "roi_key", "input_digest", "verdict", "comment", "reviewed_at"];
const unkept = new Map();

const recall = (id) => {
  let text = unkept.get(id);
  try {
    text ??= localStorage.getItem(PREFIX + id);
    return text ? JSON.parse(text) : null;
  } catch {
    return text ? JSON.parse(text) : null;
  }
};

const keep = (id, entry) => {
  const text = JSON.stringify(entry);
  try {
    localStorage.setItem(PREFIX + id, text);
    unkept.delete(id);
  } catch {
    // Storage is forbidden or full.
    unkept.set(id, text);
    document.getElementById("not-kept").hidden = false;
  }
};

const drop = (id) => {
  unkept.delete(id);
  try {
    localStorage.removeItem(PREFIX + id);
  } catch {
    // There was nothing to remove.
  }
};

const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
const toCsv = (entries) => {
  const rows = entries.filter((entry) => entry?.verdict).map((entry) => COLUMNS.map((name) => quoted(entry[name])));
  return [COLUMNS, ...rows].map((row) => `${row.join(",")}\r\n`).join("");
};

const download = (name, entries) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([toCsv(entries)], { type: "text/csv" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
};

try {
  localStorage.getItem(PREFIX);
} catch {
  document.getElementById("not-kept").hidden = false;
}
