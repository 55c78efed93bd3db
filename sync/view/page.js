"use strict";
// One time for everything: seconds since the first moment of the session. Sound leads where there is any, a timer else;
// pictures follow, and show beside them how far from that time the picture on the screen is, by its own clock.

const $ = (id) => document.getElementById(id);
const SEEK_OVER_S = 0.3; // a picture that is further off is sought, one that is nearer is played a little faster or slower
const GAIN = 4; // of the pace, for each second that a picture is off
const WAIT_BELOW = 0.1;
const GAZE_GAP_S = 0.05;
const HEAT_SPAN = 8; // degC from the coldest colour to the warmest at the least, so that a still room stays calm
const view = { at: 0, playing: false, speed: 1, span: 0, from: 0, to: 1, videos: [], sounds: [], sound: "", heats: [], tracks: [] };
let session = null;
let lastTick = performance.now();

const element = (tag, className, content) => {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (content !== undefined) made.textContent = content;
  return made;
};
const text = (node, value) => { if (node.textContent !== value) node.textContent = value; };
const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);

function clock(seconds, digits = 3) {
  const s = Math.max(0, seconds), minutes = Math.floor(s / 60);
  const rest = (s - 60 * minutes).toFixed(digits).padStart(digits ? 3 + digits : 2, "0");
  return minutes < 60 ? `${minutes}:${rest}` : `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${rest}`;
}

// Along the lines between knots [page, player]; beyond them at the slope of the nearest.
function along(knots, x, from, to) {
  if (knots.length < 2) return knots.length ? knots[0][to] + x - knots[0][from] : x;
  let low = 0, high = knots.length - 1;
  while (high - low > 1) { const middle = (low + high) >> 1; if (knots[middle][from] <= x) low = middle; else high = middle; }
  const a = knots[low], b = knots[high], long = b[from] - a[from];
  return a[to] + (long > 0 ? (x - a[from]) * (b[to] - a[to]) / long : x - a[from]);
}
const toPlayer = (media, t) => along(media.knots, t, 0, 1);
const toPage = (media, s) => along(media.knots, s, 1, 0);
const within = (media, t) => t >= media.begin_s && t < media.end_s;

// ---- pictures

function makeVideo(media) {
  const figure = element("figure"), stage = element("div", "stage"), caption = element("figcaption");
  const player = element("video"), drawn = element("canvas"), veil = element("p");
  stage.style.aspectRatio = `${media.size[0]} / ${media.size[1]}`;
  Object.assign(player, { muted: true, playsInline: true, preload: "auto", src: `/body/${media.body}` });
  player.setAttribute("aria-label", `${media.device}, ${media.what}`);
  const name = element("span"), off = element("span", "off number");
  name.append(element("b", "", media.device), ` ${media.what}${media.aligned ? "" : ", not aligned"}`);
  const larger = element("button", "", "larger");
  larger.setAttribute("aria-label", `Larger picture of ${media.device}`);
  larger.addEventListener("click", () => {
    text(larger, figure.classList.toggle("large") ? "smaller" : "larger");
    for (const video of view.videos) drawGaze(video);
  });
  caption.append(name, off, larger);
  stage.append(player, drawn, veil);
  figure.append(stage, caption);
  $("pictures").append(figure);
  const video = { ...media, figure, player, drawn, veil, off, shown: null, wanted: null, gazes: [] };
  player.addEventListener("error", () => { video.broken = true; text(veil, `This browser cannot play it (${player.error ? player.error.message || player.error.code : "unknown"}).`); });
  player.addEventListener("seeked", () => { if (video.wanted !== null) seek(video, video.wanted); });
  watch(video);
  for (const gaze of media.gaze) fetchPacked(`/gaze/${gaze.gaze}`, 2).then((points) => { video.gazes.push({ ...points, note: gaze.note }); drawGaze(video); }).catch(() => {});
  return video;
}

// Every picture that reaches the screen says its own time; compared with the page's at that moment.
function watch(video) {
  if (!("requestVideoFrameCallback" in video.player)) return;
  const noted = (now, frame) => {
    const ahead = view.playing ? (frame.expectedDisplayTime - lastTick) / 1000 * view.speed : 0;
    video.shown = { own: frame.mediaTime, page: toPage(video, frame.mediaTime), off: toPage(video, frame.mediaTime) - view.at - ahead };
    drawGaze(video);
    video.player.requestVideoFrameCallback(noted);
  };
  video.player.requestVideoFrameCallback(noted);
}

// One seek at a time: while one is under way only the last wish is kept.
function seek(video, seconds) {
  if (video.player.seeking) { video.wanted = seconds; return; }
  video.wanted = null;
  video.player.currentTime = Math.max(0, seconds);
}

function follow(video) {
  const player = video.player, inside = within(video, view.at) && !video.broken;
  video.veil.hidden = inside && player.readyState >= 2;
  if (video.parts > 1) video.figure.hidden = !inside && !(video.part === 0 && view.at < video.begin_s) && !(video.part === video.parts - 1 && view.at >= video.end_s);
  if (!inside) {
    if (!video.broken) text(video.veil, view.at < video.begin_s ? `begins at ${clock(video.begin_s)}` : `ended at ${clock(video.end_s)}`);
    if (!player.paused) player.pause();
    return;
  }
  if (!video.veil.hidden) text(video.veil, "loading…");
  const want = toPlayer(video, view.at);
  if (!view.playing) {
    if (!player.paused) player.pause();
    // The middle of a picture's time is asked for where a picture would else be asked for at its very edge.
    if (Math.abs((video.asked ?? -1) - want) > 1e-6) { video.asked = want; seek(video, want + 1e-4); }
    return;
  }
  video.asked = null;
  const error = player.currentTime - want;
  if (Math.abs(error) > SEEK_OVER_S) { seek(video, want); if (player.paused) player.play().catch(() => {}); return; }
  const slope = (toPlayer(video, view.at + 0.01) - toPlayer(video, view.at - 0.01)) / 0.02;
  const pace = slope - (Math.abs(error) > 0.004 ? GAIN * error : 0);
  // Where pictures were lost the player's time all but stands still: it waits.
  if (pace < WAIT_BELOW) { if (!player.paused) player.pause(); return; }
  const rate = clamp(view.speed * clamp(pace, 0.25, 1.6), 0.0625, 16);
  if (Math.abs(player.playbackRate - rate) > 0.002) player.playbackRate = rate;
  if (player.paused) player.play().catch(() => {});
}

function caption(video) {
  if (!video.shown || !within(video, view.at)) { text(video.off, ""); return; }
  // A picture stays until the next, so it may be as old as it is long.
  const { own, off } = video.shown, early = off > 0.5 * video.frame_s, late = off < -1.2 * video.frame_s;
  const ms = Math.round(1000 * Math.abs(early ? off : off + video.frame_s));
  text(video.off, `own time ${clock(own)}, ${early ? `${ms} ms early` : late ? `${ms} ms late` : "in step"}`);
  video.off.classList.toggle("bad", off > 1.5 * video.frame_s || off < -2.5 * video.frame_s);
}

function drawGaze(video) {
  const canvas = video.drawn, box = canvas.getBoundingClientRect();
  if (!video.gazes.length || !box.width) return;
  const scale = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(box.width * scale)) { canvas.width = Math.round(box.width * scale); canvas.height = Math.round(box.height * scale); }
  const pen = canvas.getContext("2d"), k = canvas.width / video.size[0], at = video.shown ? video.shown.page : view.at;
  pen.clearRect(0, 0, canvas.width, canvas.height);
  for (const gaze of video.gazes) {
    const i = nearest(gaze.times, at), apart = gaze.usual || GAZE_GAP_S;
    if (i < 0 || Math.abs(gaze.times[i] - at) > Math.max(GAZE_GAP_S, apart)) continue;
    const x = (gaze.rows[2 * i] + 0.5) * k, y = (gaze.rows[2 * i + 1] + 0.5) * k;
    if (!Number.isFinite(x + y)) continue;
    for (const [width, style] of [[6, "rgb(0 0 0 / 55%)"], [3, gaze.note ? "#ffd24a" : "#ff5d73"]]) {
      pen.beginPath();
      pen.arc(x, y, 13 * scale, 0, 2 * Math.PI);
      pen.lineWidth = width * scale;
      pen.strokeStyle = style;
      pen.stroke();
    }
  }
}

function nearest(times, t) {
  if (!times.length) return -1;
  let low = 0, high = times.length - 1;
  while (low < high) { const middle = (low + high) >> 1; if (times[middle] < t) low = middle + 1; else high = middle; }
  return low > 0 && Math.abs(times[low - 1] - t) < Math.abs(times[low] - t) ? low - 1 : low;
}

async function fetchPacked(url, width) {
  const answer = await fetch(url), data = await answer.arrayBuffer();
  const n = new DataView(data).getUint32(0, true);
  const times = new Float64Array(data, 8, n), rows = new Float32Array(data, 8 + 8 * n, width * n);
  return { times, rows, usual: n > 1 ? 1.5 * (times[n - 1] - times[0]) / (n - 1) : 0 };
}

// ---- thermal image

function makeHeat(heat) {
  const figure = element("figure"), grid = element("div", "heat"), caption = element("figcaption");
  const cells = Array.from({ length: 64 }, () => element("i")), range = element("span", "number");
  const name = element("span");
  name.append(element("b", "", heat.device), " thermal image");
  grid.append(...cells);
  grid.setAttribute("role", "img");
  grid.setAttribute("aria-label", `Thermal image of ${heat.device}`);
  caption.append(name, range);
  figure.append(grid, caption);
  $("pictures").append(figure);
  const made = { cells, range, data: null, drawn: -2 };
  fetchPacked(`/heat/${heat.curve}`, 64).then((data) => { made.data = data; }).catch(() => text(range, "not there"));
  return made;
}

function drawHeat(heat) {
  if (!heat.data) return;
  let i = nearest(heat.data.times, view.at);
  if (i > 0 && heat.data.times[i] > view.at) i -= 1; // the last that was measured, not the next
  if (i >= 0 && Math.abs(heat.data.times[i] - view.at) > 2) i = -1;
  if (i === heat.drawn) return;
  heat.drawn = i;
  if (i < 0) { text(heat.range, "nothing measured here"); for (const cell of heat.cells) cell.style.backgroundColor = ""; return; }
  const row = heat.data.rows.subarray(64 * i, 64 * i + 64), low = Math.min(...row), high = Math.max(...row);
  const span = Math.max(high - low, HEAT_SPAN);
  heat.cells.forEach((cell, k) => { cell.style.backgroundColor = warmth((row[k] - low) / span); });
  text(heat.range, `${low.toFixed(1)} to ${high.toFixed(1)} °C`);
}

function warmth(x) {
  const stops = [[30, 34, 84], [104, 35, 125], [190, 55, 84], [240, 130, 40], [252, 226, 120]];
  const at = clamp(x, 0, 0.999) * (stops.length - 1), below = Math.floor(at), part = at - below;
  return `rgb(${stops[below].map((c, i) => Math.round(c + part * (stops[below + 1][i] - c))).join()})`;
}

// ---- tracks

// Gives each interval the first lane that is free when it begins; returns how many lanes there are.
function laid(intervals) {
  const ends = [];
  for (const interval of intervals) {
    const free = ends.findIndex((end) => end <= interval.begin_s);
    interval.lane = free < 0 ? ends.length : free;
    ends[interval.lane] = interval.end_s;
  }
  return ends.length;
}

function makeTier(tier) {
  const box = element("div", "track tier"), line = element("p"), canvas = element("canvas"), now = element("span");
  line.append(element("b", "", tier.tier), now);
  box.append(line, canvas);
  $("labels").append(box);
  const track = { canvas, intervals: tier.intervals, lanes: laid(tier.intervals) };
  canvas.style.height = `${24 * track.lanes}px`;
  track.draw = () => drawTier(track);
  track.tell = () => {
    const here = tier.intervals.filter((i) => i.begin_s <= view.at && view.at < Math.max(i.end_s, i.begin_s + 0.5));
    text(now, here.map((i) => i.value.replaceAll("_", " ") + (i.actor ? ` (${i.actor})` : "")).join(", "));
  };
  canvas.addEventListener("pointerdown", goThere);
  return track;
}

function drawTier(track) {
  const { pen, width, height, scale } = cleared(track.canvas), k = width / (view.to - view.from), lane = height / track.lanes;
  const values = [...new Set(track.intervals.map((i) => i.value))];
  pen.font = `${12 * scale}px system-ui, sans-serif`;
  pen.textBaseline = "middle";
  for (const interval of track.intervals) {
    const x = (interval.begin_s - view.from) * k, right = (interval.end_s - view.from) * k, w = Math.max(2 * scale, right - x - scale);
    if (x + w < 0 || x > width) continue;
    const y = interval.lane * lane, high = lane - scale;
    pen.globalAlpha = 0.28;
    pen.fillStyle = colour(`--c${values.indexOf(interval.value) % 8}`);
    pen.fillRect(x, y, w, high);
    pen.globalAlpha = 1;
    pen.fillRect(x, y, 2 * scale, high);
    pen.save();
    pen.beginPath();
    pen.rect(x, y, w, high);
    pen.clip();
    pen.fillStyle = colour("--ink");
    pen.fillText(interval.value.replaceAll("_", " "), Math.max(x, 0) + 7 * scale, y + lane / 2);
    pen.restore();
  }
}

// One track for each unit of a stream: temperature and pressure share no scale.
function makeCurves(curves) {
  const devices = [...new Set(curves.map((c) => c.device))];
  for (const device of devices) {
    const own = curves.filter((c) => c.device === device), group = element("details"), summary = element("summary");
    summary.append(device, element("span", "", ` · ${own.length} ${own.length === 1 ? "stream" : "streams"}${own[0].aligned ? "" : ", not aligned"}`));
    group.append(summary);
    group.open = own.length <= 16;
    for (const curve of own) {
      const units = [...new Set(curve.channels.map((c) => c.unit))];
      for (const unit of units) makeCurve(curve, unit, group, units.length > 1);
    }
    group.addEventListener("toggle", () => { refresh(); });
    $("curves").append(group);
  }
}

function makeCurve(curve, unit, group, several) {
  const box = element("div", "track"), line = element("p"), canvas = element("canvas");
  const which = curve.channels.map((c, i) => ({ ...c, i })).filter((c) => c.unit === unit);
  line.append(element("b", "", several && which.length === 1 ? `${curve.stream} ${which[0].name}` : curve.stream));
  const values = which.map((c, k) => {
    const value = element("span", "value");
    value.style.setProperty("--colour", `var(--c${k % 8})`);
    line.append(value);
    return value;
  });
  const range = element("span", "range number");
  line.append(range);
  box.append(line, canvas);
  group.append(box);
  const track = { canvas, group, range, data: null, asked: "" };
  track.draw = () => { if (group.open) { ask(track, curve.curve); drawCurve(track, which); } };
  track.tell = () => {
    if (!group.open || !track.data) return;
    const { low, high, from, to } = track.data;
    which.forEach((c, k) => {
      const n = low[c.i] ? low[c.i].length : 0, i = Math.floor((view.at - from) / (to - from) * n);
      let j = clamp(i, 0, n - 1);
      while (j > 0 && low[c.i][j] === null && i - j < n / 20) j -= 1;
      const there = n && low[c.i][j] !== null ? (low[c.i][j] + high[c.i][j]) / 2 : null;
      text(values[k], `${c.name} ${there === null ? "–" : `${tidy(there)}${spoken(c.unit)}`}`);
    });
  };
  canvas.addEventListener("pointerdown", goThere);
  view.tracks.push(track);
}

const UNITS = { degC: "°C", ohm: "Ω", "m/s^2": "m/s²", uT: "µT", 1: "" };
const spoken = (unit) => (UNITS[unit] ?? unit) && ` ${UNITS[unit] ?? unit}`;
const tidy = (v, digits = 4) => Math.abs(v) >= 1e7 || (v !== 0 && Math.abs(v) < 1e-4) ? v.toExponential(2) : v.toLocaleString("en", { maximumSignificantDigits: Math.abs(v) >= 1e4 ? 6 : digits });

const asking = new Map(); // channels of one stream stand in several tracks: one question serves all
function ask(track, number) {
  const columns = clamp(Math.round(track.canvas.clientWidth), 100, 2000), wish = `${view.from}-${view.to}-${columns}`;
  if (track.asked === wish || !track.canvas.clientWidth) return;
  track.asked = wish;
  const url = `/curve/${number}?from=${view.from}&to=${view.to}&columns=${columns}`;
  if (!asking.has(url)) {
    asking.set(url, fetch(url).then((answer) => answer.json()).finally(() => setTimeout(() => asking.delete(url), 1000)));
  }
  const { from, to } = view;
  asking.get(url).then((data) => { if (track.asked === wish) { track.data = { ...data, from, to }; track.draw(); track.tell(); } }).catch(() => { track.asked = ""; });
}

function drawCurve(track, which) {
  const { pen, width, height, scale } = cleared(track.canvas);
  if (!track.data) return;
  const { low, high, ranges, from, to } = track.data, k = width / (view.to - view.from);
  const bounds = which.map((c) => ranges[c.i]).filter(Boolean);
  if (!bounds.length) return;
  let least = Math.min(...bounds.map((b) => b[0])), most = Math.max(...bounds.map((b) => b[1]));
  text(track.range, `${tidy(least, 5)} to ${tidy(most, 5)}`);
  if (most - least < 1e-9 * Math.max(1, Math.abs(most))) { least -= 0.5; most += 0.5; }
  const edge = 4 * scale, y = (v) => edge + (height - 2 * edge) * (1 - (v - least) / (most - least));
  pen.lineWidth = 1.3 * scale;
  pen.lineJoin = "round";
  which.forEach((c, colourNumber) => {
    const lows = low[c.i], highs = high[c.i], step = (to - from) / lows.length;
    pen.strokeStyle = colour(`--c${colourNumber % 8}`);
    pen.beginPath();
    let before = -1;
    lows.forEach((bottom, i) => {
      if (bottom === null) return;
      const x = (from + (i + 0.5) * step - view.from) * k;
      // Samples are joined where they are near: a slow sensor has few, a hole stays a hole.
      if (before < 0 || (i - before) * step > 1.2) pen.moveTo(x, y(bottom)); else pen.lineTo(x, y(bottom));
      pen.lineTo(x, y(highs[i]));
      before = i;
    });
    pen.stroke();
  });
}

function cleared(canvas) {
  const scale = window.devicePixelRatio || 1, width = Math.round(canvas.clientWidth * scale), height = Math.round(canvas.clientHeight * scale);
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, width, height);
  return { pen, width, height, scale };
}

function drawAxis() {
  const { pen, width, height, scale } = cleared($("axis")), span = view.to - view.from;
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600];
  const step = steps.find((s) => s / span * width > 70 * scale) || 7200;
  pen.fillStyle = colour("--soft");
  pen.font = `${11 * scale}px system-ui, sans-serif`;
  for (let t = Math.ceil(view.from / step) * step; t <= view.to; t += step) {
    const x = (t - view.from) / span * width;
    pen.fillRect(x, height - 5 * scale, scale, 5 * scale);
    if (x < width - 40 * scale) pen.fillText(clock(t, step < 1 ? 1 : 0), x + 3 * scale, height - 8 * scale);
  }
}

function goThere(event) {
  const box = event.currentTarget.getBoundingClientRect();
  go(view.from + (event.clientX - box.left) / box.width * (view.to - view.from));
}

// The stretch of time that the tracks show; it turns over like a page when the hand leaves it.
function turn() {
  const long = session.duration_s, span = view.span ? Math.min(view.span, long) : long;
  if (view.at >= view.from && view.at <= view.to && Math.abs(view.to - view.from - span) < 1e-9) return false;
  view.from = view.span ? clamp(view.at - 0.05 * span, 0, Math.max(0, long - span)) : 0;
  view.to = view.from + span;
  return true;
}

function refresh() {
  turn();
  drawAxis();
  for (const track of view.tracks) track.draw();
  for (const video of view.videos) drawGaze(video);
}

// ---- time

// A sound may end a little before its file says; then the timer goes on.
const over = (sound) => sound.player.ended && toPage(sound, sound.player.currentTime) - view.at < 0.2;
const soundHere = () => view.sounds.find((s) => s.device === view.sound && !s.broken && within(s, view.at) && !over(s)) || null;

function step(now) {
  const past = (now - lastTick) / 1000;
  lastTick = now;
  if (view.playing) advance(Math.min(past, 0.25));
  for (const sound of view.sounds) if (sound !== soundHere() && !sound.player.paused) sound.player.pause();
  for (const video of view.videos) { follow(video); caption(video); }
  for (const heat of view.heats) drawHeat(heat);
  if (turn()) refresh();
  for (const track of view.tracks) track.tell();
  $("hand").style.transform = `translateX(${(view.at - view.from) / (view.to - view.from) * $("axis").clientWidth}px)`;
  text($("time"), clock(view.at));
  if (document.activeElement !== $("scrub") || view.playing) $("scrub").value = String(Math.round(view.at * 1000));
  requestAnimationFrame(step);
}

function advance(past) {
  const sound = soundHere();
  if (!sound) {
    view.at += past * view.speed;
  } else if (sound.player.paused) {
    sound.player.currentTime = Math.max(0, toPlayer(sound, view.at));
    sound.player.playbackRate = view.speed;
    sound.player.play().catch((error) => { if (error.name === "NotAllowedError") { pause(); text($("trouble"), "The browser wants a click before it plays sound."); } });
  } else if (!sound.player.seeking && sound.player.readyState >= 3) {
    const heard = toPage(sound, sound.player.currentTime), next = view.at + past * view.speed;
    // What the sound says comes in small steps; the hand goes evenly between them.
    view.at = Math.abs(heard - next) > 0.1 ? heard : next + 0.1 * (heard - next);
  }
  if (view.at >= session.duration_s) { view.at = session.duration_s; pause(); }
}

function play() {
  if (view.at >= session.duration_s - 0.01) go(0);
  text($("trouble"), "");
  view.playing = true;
  lastTick = performance.now();
  $("play-shape").setAttribute("d", "M6 4h4v16H6zM14 4h4v16h-4z");
  $("play").setAttribute("aria-label", "Pause");
}

function pause() {
  view.playing = false;
  for (const sound of view.sounds) sound.player.pause();
  $("play-shape").setAttribute("d", "M7 4l13 8-13 8z");
  $("play").setAttribute("aria-label", "Play");
}

function go(seconds) {
  view.at = clamp(seconds, 0, session.duration_s);
  const sound = soundHere();
  if (sound && !sound.player.paused) sound.player.currentTime = Math.max(0, toPlayer(sound, view.at));
  for (const video of view.videos) if (view.playing && within(video, view.at)) seek(video, toPlayer(video, view.at));
  if (turn()) refresh();
}

function hear(device) {
  view.sound = device;
  for (const sound of view.sounds) if (sound.device === device) sound.player.preload = "auto";
}

const KEYS = {
  " ": () => (view.playing ? pause() : play()),
  ArrowLeft: () => go(view.at - 1), ArrowRight: () => go(view.at + 1),
  ",": () => { pause(); go(view.at - pictureLong()); }, ".": () => { pause(); go(view.at + pictureLong()); },
  Home: () => go(0), End: () => go(session.duration_s),
};
const pictureLong = () => Math.min(0.1, ...view.videos.filter((v) => within(v, view.at)).map((v) => v.frame_s));

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key] || !session) return;
  if (event.target.matches("select, summary, input:not([type=range])")) return;
  if (event.key === " " && event.target.matches("button") && event.target.id !== "play") return;
  event.preventDefault();
  KEYS[event.key]();
});

function begin(found) {
  session = found;
  document.title = `${found.id} · syncctl`;
  text($("id"), found.id);
  text($("facts"), [...found.facts.map((f) => f.replaceAll("_", " ")), clock(found.duration_s, 1)].join(" · "));
  $("aligned").hidden = false;
  $("aligned").classList.toggle("bad", !found.aligned);
  text($("aligned"), found.aligned ? `on the clock of ${found.aligned.reference}, ± ${found.aligned.sigma_ms} ms` : "not aligned");
  $("warnings").hidden = !found.warnings.length;
  $("warnings").open = found.warnings.length > 0 && found.warnings.length < 4;
  text($("warnings-count"), found.warnings.length === 1 ? "One thing to mind" : `${found.warnings.length} things to mind`);
  $("warnings-list").append(...found.warnings.map((warning) => {
    const item = element("li"); // what stands between backticks is to be typed
    item.append(...warning.split("`").map((part, k) => (k % 2 ? element("code", "", part) : part)));
    return item;
  }));
  view.videos = found.videos.map(makeVideo);
  view.heats = found.heat.map(makeHeat);
  view.sounds = found.sounds.map((media) => {
    const player = new Audio(), sound = { ...media, player };
    player.preload = "none"; // one is heard; the others need not be fetched
    player.src = `/body/${media.body}`;
    player.addEventListener("error", () => { sound.broken = true; });
    return sound;
  });
  const heard = [...new Set(view.sounds.map((s) => s.device))];
  $("sound").append(...heard.map((device) => new Option(device, device)), new Option("none", ""));
  hear(heard[0] || "");
  $("scrub").max = String(Math.round(found.duration_s * 1000));
  view.to = found.duration_s;
  view.tracks.push(...found.labels.map(makeTier));
  makeCurves(found.curves);
  $("play").addEventListener("click", () => (view.playing ? pause() : play()));
  $("scrub").addEventListener("input", () => go(Number($("scrub").value) / 1000));
  $("sound").addEventListener("change", () => hear($("sound").value));
  $("speed").addEventListener("change", () => { view.speed = Number($("speed").value); for (const s of view.sounds) s.player.playbackRate = view.speed; });
  $("window").addEventListener("change", () => { view.span = Number($("window").value); refresh(); });
  $("axis").addEventListener("pointerdown", goThere);
  addEventListener("resize", refresh);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);
  refresh();
  requestAnimationFrame(step);
}

fetch("/session").then((answer) => answer.json()).then(begin).catch((error) => text($("facts"), `The session cannot be shown: ${error.message}`));
