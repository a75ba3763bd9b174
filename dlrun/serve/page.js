const facts = JSON.parse(document.getElementById("facts").textContent);
const byId = (id) => document.getElementById(id);
const SHOWN_ROWS = 20;
const PREVIEW_BYTES = 2 ** 17;
const BLANK = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7";

function make(tag, text, className) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
}

function tell(problem) {
  byId("problem").textContent = problem;
}

async function post(path, type, body) {
  let response;
  try {
    response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": type, "X-Dlrun-Token": facts.token },
      body,
    });
  } catch {
    throw new Error("No answer from dlrun serve: has it been ended? (start it again and reload this page)");
  }
  if (!response.ok) {
    const told = await response.json().catch(() => ({}));
    throw new Error(told.error || `The server answered ${response.status}.`);
  }
  return response;
}

// One question at a time; of those asked meanwhile only the last is asked afterwards.
function latest(work) {
  let busy = false;
  let next = null;
  return async function ask(...words) {
    if (busy) {
      next = words;
      return;
    }
    busy = true;
    try {
      await work(...words);
    } finally {
      busy = false;
      if (next !== null) {
        const words = next;
        next = null;
        ask(...words);
      }
    }
  };
}

// ---- the answer

const WAITING = facts.ink ? "nothing drawn yet" : facts.kind === "image" ? "no image yet" : "";
const NOTHING = { answer: "", about: WAITING, bars: facts.bars, values: [] };

function picture(id, address, text) {
  const image = byId(id);
  if (!image) return;
  image.src = address || BLANK;
  image.alt = address ? text : "";
}

function show(result) {
  byId("answer").textContent = result.answer;
  byId("answer").classList.toggle("long", result.answer.length > 12);
  byId("about").textContent = result.about;
  picture("pixels", result.seen, "The image as the network gets it");
  picture("reconstruction", result.picture, "The reconstruction");
  if (result.bars) showBars(result);
  if (result.values && byId("values"))
    fill(byId("values"), ["", "input", "reconstruction"], result.values, [false, true, true]);
}

function showBars(result) {
  const bars = byId("bars");
  if (bars.children.length !== 3 * result.bars.length) {
    bars.replaceChildren();
    for (const _ of result.bars) {
      const track = make("dd", undefined, "track");
      track.append(make("div"));
      bars.append(make("dt"), track, make("dd", undefined, "share"));
    }
  }
  result.bars.forEach(([name, share, text], k) => {
    const best = share !== null && name === result.answer;
    const [term, track, percent] = [0, 1, 2].map((n) => bars.children[3 * k + n]);
    term.textContent = name;
    term.title = name;
    percent.textContent = text;
    track.firstChild.style.width = `${100 * (share || 0)}%`;
    for (const element of [term, percent, track.firstChild]) element.classList.toggle("best", best);
  });
}

function fill(table, head, rows, numeric) {
  const kind = (k) => (numeric[k] ? "number" : "");
  const top = make("tr");
  head.forEach((name, k) => top.append(make("th", name, kind(k))));
  const body = rows.map((row) => {
    const line = make("tr");
    row.forEach((cell, k) => line.append(make("td", cell, kind(k))));
    return line;
  });
  const [above, below] = [make("thead"), make("tbody")];
  above.append(top);
  below.append(...body);
  table.replaceChildren(above, below);
}

// ---- images: drawn, chosen or dropped

function imagePage() {
  const paper = byId("paper");
  document.documentElement.style.setProperty("--ratio", `${paper.width} / ${paper.height}`);
  const pen = paper.getContext("2d", { willReadFrequently: true });
  let file = null; // what was chosen, else the drawing is meant
  let version = 0; // an answer to what has been cleared since is not shown
  let drawn = false;
  let last = null; // where the pen is while it draws
  let middle = null; // of the last two points, up to which the curve is drawn

  const ask = latest(async (asked) => {
    if (asked !== version) return;
    const invert = byId("invert") ? byId("invert").value : "auto";
    try {
      const body = file || (await new Promise((done) => paper.toBlob(done, "image/png")));
      const options = `invert=${invert}&drawn=${file ? "no" : "yes"}`;
      const response = await post(`image?${options}`, "application/octet-stream", body);
      const result = await response.json();
      if (asked !== version) return;
      show(result);
      tell("");
    } catch (error) {
      if (asked !== version) return;
      show({ ...NOTHING, about: "" });
      tell(file ? `${file.name}: ${error.message}` : error.message);
    }
  });

  function clear() {
    version += 1;
    file = null;
    drawn = false;
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, paper.width, paper.height);
    byId("source").textContent = "";
    byId("file").value = "";
    show(NOTHING);
    tell("");
  }

  async function take(chosen) {
    clear();
    if (chosen.size > facts.limits.image) {
      tell(`${chosen.name}: larger than ${facts.limits.image / 1e6} MB`);
      return;
    }
    file = chosen;
    byId("source").textContent = chosen.name;
    ask(version);
    const asked = version;
    const bitmap = await createImageBitmap(chosen).catch(() => null); // TIFF: only the server can
    if (bitmap === null || asked !== version) return;
    const scale = Math.min(paper.width / bitmap.width, paper.height / bitmap.height);
    const [width, height] = [bitmap.width * scale, bitmap.height * scale];
    pen.imageSmoothingEnabled = scale < 1;
    pen.drawImage(bitmap, (paper.width - width) / 2, (paper.height - height) / 2, width, height);
    bitmap.close();
  }

  function point(event) {
    const box = paper.getBoundingClientRect();
    return {
      x: ((event.clientX - box.left) / box.width) * paper.width,
      y: ((event.clientY - box.top) / box.height) * paper.height,
    };
  }

  const width = Math.min(paper.width, paper.height) / 13; // of a stroke, thick as in MNIST

  function dot(at) {
    pen.fillStyle = "#000";
    pen.beginPath();
    pen.arc(at.x, at.y, width / 2, 0, 2 * Math.PI);
    pen.fill();
    last = middle = at;
    drawn = true;
    ask(version);
  }

  function stroke(to) {
    pen.strokeStyle = "#000";
    pen.lineWidth = width;
    pen.lineCap = "round";
    const next = { x: (last.x + to.x) / 2, y: (last.y + to.y) / 2 };
    pen.beginPath();
    pen.moveTo(middle.x, middle.y);
    pen.quadraticCurveTo(last.x, last.y, next.x, next.y);
    pen.stroke();
    [last, middle] = [to, next];
    ask(version);
  }

  if (facts.ink) {
    paper.addEventListener("pointerdown", (event) => {
      if (!event.isPrimary || event.button > 0) return;
      event.preventDefault();
      paper.setPointerCapture(event.pointerId);
      if (file !== null || !drawn) clear();
      dot(point(event));
    });
    paper.addEventListener("pointermove", (event) => {
      if (last === null || !event.isPrimary) return;
      const passed = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
      for (const one of passed.length ? passed : [event]) stroke(point(one));
    });
    for (const name of ["pointerup", "pointercancel"])
      paper.addEventListener(name, () => {
        if (last !== null) stroke(last); // the second half of the last piece
        last = null;
      });
    byId("invert").addEventListener("change", () => {
      if (file !== null || drawn) ask(version);
    });
  }
  byId("clear").addEventListener("click", clear);
  clear();
  return take;
}

// ---- tables: one row, or a file of them

function tablePage() {
  const form = byId("form");
  if (form) {
    for (const column of facts.columns) {
      const label = make("label", column.name);
      const field = make(column.choices ? "select" : "input");
      for (const [value, shown] of column.choices || []) {
        const option = make("option", shown);
        option.value = value;
        field.append(option);
      }
      if (!column.choices)
        Object.assign(field, { type: "text", inputMode: "decimal", spellcheck: false });
      field.value = column.value;
      label.append(field);
      byId("fields").append(label);
    }
    const fields = () => [...form.querySelectorAll("input, select")];
    const ask = latest(async () => {
      try {
        const values = JSON.stringify(fields().map((field) => field.value));
        const response = await post("row", "application/json", values);
        show(await response.json());
        tell("");
      } catch (error) {
        show(NOTHING);
        tell(error.message);
      }
    });
    form.addEventListener("input", () => ask());
    form.addEventListener("submit", (event) => event.preventDefault());
    ask();
  }

  let address = null;
  let version = 0;
  let file = null;
  byId("ignore").addEventListener("change", () => file && take(file));
  return take;

  async function take(chosen) {
    const asked = ++version;
    file = chosen;
    tell("");
    byId("download").hidden = byId("preview").hidden = true;
    byId("source").textContent = "";
    if (chosen.size > facts.limits.table) {
      tell(`${chosen.name}: larger than ${facts.limits.table / 1e6} MB (type dlrun predict for such a file)`);
      return;
    }
    byId("source").textContent = `${chosen.name}: being predicted…`;
    try {
      const options = new URLSearchParams({ ignore: byId("ignore").value });
      if (chosen.name.toLowerCase().endsWith(".tsv")) options.set("separator", "tab");
      const response = await post(`table?${options}`, "application/octet-stream", chosen);
      const predictions = await response.blob();
      if (asked !== version) return;
      const [head, ...rows] = parsed(await predictions.slice(0, PREVIEW_BYTES).text());
      const first = rows.slice(0, SHOWN_ROWS);
      const numeric = head.map((_, k) => first.every((row) => row[k] !== "" && isFinite(row[k])));
      fill(byId("rows"), head, first.map((row) => row.map(short)), numeric);
      const count = Number(response.headers.get("X-Dlrun-Rows"));
      const part = count > first.length ? `, the first ${first.length} below` : "";
      const rowsTold = count === 1 ? "1 row" : `${count.toLocaleString("en")} rows`;
      byId("source").textContent = `${chosen.name}: ${rowsTold}${part}`;
      if (address !== null) URL.revokeObjectURL(address);
      address = URL.createObjectURL(predictions);
      byId("download").href = address;
      byId("download").download = `${chosen.name.replace(/\.[^.]*$/, "")}-predictions.csv`;
      byId("download").hidden = byId("preview").hidden = false;
    } catch (error) {
      if (asked !== version) return;
      byId("source").textContent = "";
      tell(`${chosen.name}: ${error.message}`);
    }
  }
}

function short(cell) {
  return /^-?\d+\.\d{5,}(e.*)?$/.test(cell) ? String(Number(Number(cell).toPrecision(4))) : cell;
}

// Whole lines of CSV as the server writes it; what is cut off at the end is left out.
function parsed(text) {
  const rows = [[]];
  const cell = /("(?:[^"]|"")*"|[^",\r\n]*)(,|\r?\n)/gy;
  for (let match; (match = cell.exec(text)); ) {
    const [, raw, end] = match;
    rows.at(-1).push(raw.startsWith('"') ? raw.slice(1, -1).replaceAll('""', '"') : raw);
    if (end !== ",") rows.push([]);
  }
  rows.pop();
  return rows;
}

// ---- files: chosen, or dropped anywhere

const take = facts.kind === "image" ? imagePage() : tablePage();
show(NOTHING);
byId("file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  if (file) take(file);
  event.target.value = ""; // so that choosing the same file again is a change
});
let inside = 0; // entering a child comes before leaving its parent
addEventListener("dragenter", () => document.body.classList.toggle("over", ++inside > 0));
addEventListener("dragleave", () => document.body.classList.toggle("over", --inside > 0));
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  inside = 0;
  document.body.classList.remove("over");
  const [file] = event.dataTransfer.files;
  if (file) take(file);
});
