"use strict";
// The page shows what /live says and asks for what its buttons say. Everything it needs comes from the kit itself.

const $ = (id) => document.getElementById(id);
const BUSY = ["waiting", "recording", "stopping"];
const STATES = { arming: "getting ready", armed: "ready", waiting: "about to start", lost: "not connected" };
const HEAT_SPAN = 8; // degC from the coldest colour to the warmest at the least, so that a still room stays calm
let state = null;
let token = sessionStorage.getItem("token") || "";
let preview = null;

const text = (id, value) => { if ($(id).textContent !== value) $(id).textContent = value; };
const show = (id, yes) => { $(id).hidden = !yes; };
const pad = (n) => String(n).padStart(2, "0");
const size = (bytes) => bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : bytes >= 1e5 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.ceil(bytes / 1e3)} kB`;
const element = (tag, className, content) => {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (content !== undefined) made.textContent = content;
  return made;
};

function elapsed(seconds) {
  const s = Math.floor(seconds);
  const hours = Math.floor(s / 3600);
  return hours ? `${hours}:${pad(Math.floor(s / 60) % 60)}:${pad(s % 60)}` : `${Math.floor(s / 60)}:${pad(s % 60)}`;
}

function minutes(m) {
  if (m >= 2880) return `${Math.floor(m / 1440)} days`;
  return m >= 120 ? `${Math.floor(m / 60)} h` : `${Math.floor(m)} min`;
}

function warnings(now) {
  const found = [];
  const live = now.live;
  if (now.error) found.push(now.error);
  if (now.missing.length) found.push(`Nothing came from: ${now.missing.join(", ")}.`);
  if (now.state === "recording" && live) {
    if (now.live_age_s > 3) found.push(`The recorder has not been heard of for ${now.live_age_s.toFixed(0)} s.`);
    if (live.has_camera && live.elapsed_s > 6 && (live.frame_age_s ?? 99) > 3) found.push("The camera gives no pictures.");
    if (live.has_microphone && live.elapsed_s > 6 && (live.sound_age_s ?? 99) > 3) found.push("The microphone gives no sound.");
  }
  if (now.disk.minutes !== null && now.disk.minutes < 60) found.push(`The disk is full in ${minutes(now.disk.minutes)}.`);
  else if (now.disk.free_gb < 1) found.push(`Only ${now.disk.free_gb} GB are free on the disk.`);
  if (now.temperature_c !== null && now.temperature_c >= 80) found.push(`The processor is at ${now.temperature_c} °C and slows down.`);
  for (const note of now.notes) found.push(note);
  return found;
}

function render(now) {
  const before = state;
  state = now;
  document.title = `${now.state === "recording" ? "● " : ""}${now.kit} · syncctl`;
  text("kit", now.kit);
  $("state").dataset.state = now.state;
  text("state-name", STATES[now.state] || now.state);
  const busy = BUSY.includes(now.state);
  text("session", busy ? now.session : now.session ? `last: ${now.session}` : "nothing recorded since it was switched on");
  const found = warnings(now);
  if ($("alerts").dataset.shown !== found.join("\n")) {
    $("alerts").dataset.shown = found.join("\n");
    $("alerts").replaceChildren(...found.map((line) => element("p", "", line)));
  }
  show("alerts", found.length > 0);
  show("instruction", busy && Boolean(now.instruction));
  text("instruction", now.instruction || "");
  renderNow(now, busy);
  renderControl(now, busy);
  renderSenses(now);
  renderSensors(now.live ? now.live.sensors : []);
  renderKit(now);
  if (before === null || (before.state !== now.state && now.state === "idle")) loadSessions();
}

function renderNow(now, busy) {
  const live = busy ? now.live : null;
  const wait = now.state === "waiting" && now.started_ns ? (now.started_ns - now.wall_ns) / 1e9 : 0;
  text("elapsed", live && now.state !== "waiting" ? elapsed(live.elapsed_s) : wait > 0 ? `−${elapsed(wait)}` : "0:00");
  text("frames", live ? live.frames.toLocaleString("en") : "–");
  text("missed", live ? live.missed.toLocaleString("en") : "–");
  text("written", live ? size(live.bytes_written) : "–");
}

function renderControl(now, busy) {
  const may = now.may.steer || (token !== "" && now.may.unlock);
  show("locked", !may);
  text("locked", now.may.unlock ? "Watching is free; steering needs the kit's token." : "This kit can be watched, not steered.");
  show("unlock", !may && now.may.unlock);
  show("start", may && !busy);
  show("stop", may && now.state !== "idle");
  text("stop", busy ? "Stop recording" : "Never mind");
  $("stop").disabled = now.state === "stopping";
  $("stop").classList.toggle("stop", busy);
  show("event", may && (now.state === "recording" || now.state === "waiting"));
  $("arm").disabled = now.state !== "idle";
  text("arm", now.state === "armed" ? "Ready" : now.state === "arming" ? "…" : "Get ready");
}

function renderSenses(now) {
  const live = now.live;
  show("senses", !live || live.has_camera || live.has_microphone);
  const rms = live && live.sound_age_s !== null ? live.rms_db : -120;
  const peak = live && live.sound_age_s !== null ? live.peak_db : -120;
  const place = (db) => `${Math.max(0, Math.min(100, (db + 60) / 60 * 100))}%`;
  $("rms").style.width = place(rms);
  $("peak").style.left = `min(${place(peak)}, calc(100% - 3px))`;
  $("peak").style.visibility = peak > -60 ? "visible" : "hidden";
  $("meter").classList.toggle("loud", peak > -1);
  $("meter").setAttribute("aria-valuenow", String(Math.max(-60, Math.round(rms))));
  text("level", live && live.sound_age_s !== null ? rms > -119 ? `${rms.toFixed(0)} dB` : "silent" : "–");
  if (!live) showPreview(null);
}

function sensorRow(name) {
  const row = element("li");
  row.append(element("span", "name", name), element("span", "value number"), element("small", "what"), element("small", "age number"));
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 59 34");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  row.append(svg);
  row.dataset.name = name;
  return row;
}

function renderSensors(sensors) {
  const list = $("sensors");
  if ([...list.children].map((row) => row.dataset.name).join() !== sensors.map((s) => s.name).join()) {
    list.replaceChildren(...sensors.map((s) => sensorRow(s.name)));
  }
  show("no-sensors", sensors.length === 0);
  sensors.forEach((sensor, index) => {
    const row = list.children[index];
    const late = sensor.age_s === null || sensor.age_s > 2 / sensor.rate_hz + 1;
    const put = (query, value) => { const at = row.querySelector(query); if (at.textContent !== value) at.textContent = value; };
    row.classList.toggle("bad", late);
    put(".value", sensor.value === null ? "–" : `${rounded(sensor.value)} ${unit(sensor.unit)}`);
    put(".what", `${sensor.channel || sensor.model} · ${sensor.rate_hz} Hz${sensor.missed ? ` · ${sensor.missed} missed` : ""}`);
    put(".age", sensor.age_s === null ? "no value yet" : late ? `${sensor.age_s.toFixed(0)} s old · ${sensor.flag.toLowerCase()}` : "fresh");
    spark(row.querySelector("svg"), sensor.spark);
  });
  const heat = sensors.find((s) => s.heat);
  show("heat-box", Boolean(heat));
  if (heat) renderHeat(heat.heat);
}

const rounded = (v) => v.toFixed(Math.abs(v) < 100 ? 2 : Math.abs(v) < 1000 ? 1 : 0);
const unit = (name) => ({ degC: "°C", "m/s^2": "m/s²", ohm: "Ω", uT: "µT", 1: "" })[name] ?? name;

function spark(svg, values) {
  const known = values.filter((v) => v !== null);
  const low = Math.min(...known), high = Math.max(...known);
  const lines = [];
  let line = [];
  values.forEach((v, i) => {
    if (v === null) { lines.push(line); line = []; return; }
    const y = high > low ? 31 - 28 * (v - low) / (high - low) : 17;
    line.push(`${i + 60 - values.length - 1},${y.toFixed(1)}`);
  });
  lines.push(line);
  svg.replaceChildren(...lines.filter((l) => l.length > 1).map((points) => {
    const drawn = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
    drawn.setAttribute("points", points.join(" "));
    return drawn;
  }));
}

function renderHeat(pixels) {
  const box = $("heat");
  if (!box.children.length) box.replaceChildren(...pixels.map(() => element("i")));
  const low = Math.min(...pixels), high = Math.max(...pixels);
  const span = Math.max(high - low, HEAT_SPAN);
  pixels.forEach((v, i) => { box.children[i].style.backgroundColor = warmth((v - low) / span); });
  box.setAttribute("aria-label", `Thermal image: coldest ${low.toFixed(1)}, warmest ${high.toFixed(1)} degrees Celsius`);
  text("heat-range", `${low.toFixed(1)} to ${high.toFixed(1)} °C`);
}

function warmth(x) {
  const stops = [[30, 34, 84], [104, 35, 125], [190, 55, 84], [240, 130, 40], [252, 226, 120]];
  const at = Math.max(0, Math.min(0.999, x)) * (stops.length - 1);
  const below = Math.floor(at), part = at - below;
  return `rgb(${stops[below].map((c, i) => Math.round(c + part * (stops[below + 1][i] - c))).join()})`;
}

function renderKit(now) {
  const left = now.disk.minutes !== null ? ` · ${minutes(now.disk.minutes)} left` : "";
  text("disk", `${now.disk.free_gb.toFixed(1)} GB${left}`);
  text("temperature", now.temperature_c !== null ? `${now.temperature_c} °C` : "unknown");
  const clock = now.clock;
  const offset = clock.offset_ms !== null ? `${clock.offset_ms >= 0 ? "+" : "−"}${Math.abs(clock.offset_ms).toFixed(2)} ms` : "";
  const kept = clock.synchronised === null ? "not known to be set" : clock.synchronised ? "set by the network" : "not set by the network";
  text("clock", offset || kept);
  text("version", now.version);
}

function showPreview(url) {
  if (preview) URL.revokeObjectURL(preview);
  preview = url;
  show("preview", url !== null);
  show("no-preview", url === null);
  if (url) $("preview").src = url;
}

async function fetchPreview() {
  if (document.hidden || !state || !state.live || !state.live.has_camera) return;
  if (!state.may.look && !token) { text("no-preview", "Pictures need the kit's token."); return; }
  try {
    const answer = await fetch("/preview", { headers: token ? { Authorization: `Bearer ${token}` } : {} });
    if (answer.status === 200) showPreview(URL.createObjectURL(await answer.blob()));
  } catch { /* /live says that the kit is gone */ }
}

async function loadSessions() {
  let answer;
  try { answer = await (await fetch("/sessions")).json(); } catch { return; }
  show("no-sessions", answer.sessions.length === 0);
  $("sessions").replaceChildren(...answer.sessions.map(sessionRow));
}

function sessionRow(session) {
  const row = element("li"), details = element("details"), summary = element("summary", "", session.name);
  const facts = [session.activity, (session.participants || []).join(", "), session.seconds && elapsed(session.seconds), size(session.bytes)];
  summary.append(element("br"), element("span", "", facts.filter(Boolean).join(" · ")));
  if (state && BUSY.includes(state.state) && state.session === session.name) summary.append(element("span", "", " · being recorded"));
  else if (!session.sealed) summary.append(element("em", "", " · not sealed"));
  const files = element("ul");
  details.append(summary, files);
  details.addEventListener("toggle", async () => {
    if (!details.open) return;
    const path = `/sessions/${encodeURIComponent(session.name)}`;
    const found = await (await fetch(path)).json();
    files.replaceChildren(...found.files.map((file) => {
      const item = element("li"), link = element("a", "", file.path);
      link.href = `${path}/files/${file.path.split("/").map(encodeURIComponent).join("/")}`;
      link.download = `${session.name}_${file.path.replaceAll("/", "_")}`;
      item.append(link, element("small", "", ` ${size(file.bytes)}`));
      return item;
    }));
  });
  row.append(details);
  return row;
}

async function order(path, body, done) {
  const headers = { "Content-Type": "application/json", Authorization: `Bearer ${token}` };
  let said, good = false;
  try {
    const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body || {}) });
    const document = await answer.json();
    good = answer.ok;
    said = good ? done : document.error;
    if (answer.status === 401) { token = ""; sessionStorage.removeItem("token"); }
  } catch { said = "The kit does not answer."; }
  $("answer").classList.toggle("bad", !good);
  text("answer", said);
  return good;
}

$("unlock").addEventListener("submit", async (event) => {
  event.preventDefault();
  token = $("token").value.trim();
  $("token").value = "";
  if (await order("/unlock", {}, "")) { sessionStorage.setItem("token", token); connect(); $("activity").focus(); } else { token = ""; }
});
$("start").addEventListener("submit", (event) => {
  event.preventDefault();
  const body = { tones: $("tones").checked };
  for (const name of ["activity", "participant", "place"]) if ($(name).value.trim()) body[name] = $(name).value.trim();
  if (state.missing.length) {
    if (!confirm(`Nothing came from ${state.missing.join(", ")}. Record without?`)) return;
    body.allow_missing = true;
  }
  order("/start", body, "");
});
$("arm").addEventListener("click", () => order("/arm", {}, ""));
$("stop").addEventListener("click", () => order("/stop", {}, ""));
$("event").addEventListener("submit", async (event) => {
  event.preventDefault();
  const marked = $("event-text").value.trim();
  if (await order("/event", { text: marked }, `Marked${marked ? `: ${marked}` : ""}.`)) $("event-text").value = "";
});

let source = null;
function connect() {
  if (source) source.close();
  source = new EventSource("/live");
  source.onmessage = (message) => render(JSON.parse(message.data));
  source.onerror = () => {
    $("state").dataset.state = "lost";
    text("state-name", STATES.lost);
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 3000); // refused: it does not try again by itself
  };
}

fetch("/activities").then((answer) => answer.json()).then(({ activities }) => {
  $("activities").replaceChildren(...activities.map((a) => { const o = element("option"); o.value = a.name; o.label = a.instruction; return o; }));
}).catch(() => {});
connect();
setInterval(fetchPreview, 500);
