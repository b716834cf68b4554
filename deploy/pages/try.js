// A client of the gateway in plain JavaScript: accounts, tickets, and an answer that is read as it is written. What is needed
// to go on after a reload is kept in the tab's session storage: tokens, the ticket, and how far the answer came.
"use strict";

const KEPT = "deskhand-try";
const at = (id) => document.getElementById(id);
const state = JSON.parse(sessionStorage.getItem(KEPT) ?? "{}");
const keep = () => sessionStorage.setItem(KEPT, JSON.stringify(state));
const bytes = (text) => new TextEncoder().encode(text).length;

// crypto.randomUUID is there on https and localhost only.
function uuid() {
  const random = crypto.getRandomValues(new Uint8Array(16));
  random[6] = (random[6] & 0x0f) | 0x40;
  random[8] = (random[8] & 0x3f) | 0x80;
  const digits = Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

class Problem extends Error {
  constructor(status, answer) {
    super(answer?.message ?? `The gateway answered ${status}.`);
    this.status = status;
    this.reason = answer?.details?.find((detail) => detail.reason)?.reason;
  }

  // "Not now": the same may go well in a moment.
  get passes() { return this.status >= 502 || this.status === 408 || this.reason === "TOO_MANY_REQUESTS"; }
}

async function send(method, path, body) {
  const headers = {};
  if (state.access) headers.authorization = `Bearer ${state.access}`;
  if (body) headers["content-type"] = "application/json";
  const response = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  if (!response.ok) throw new Problem(response.status, await response.json().catch(() => undefined));
  return response;
}

// With a new access token where the old one's 10 minutes are over.
async function call(method, path, body) {
  try {
    return await send(method, path, body);
  } catch (problem) {
    if (problem.reason !== "TOKEN_EXPIRED" || !state.refresh) throw problem;
    const response = await send("POST", "/v1/auth/refresh", { refresh_token: state.refresh });
    remember(await response.json());
    return send(method, path, body);
  }
}

const ask = async (method, path, body) => (await call(method, path, body)).json();

function remember(session) {
  state.access = session.access_token;
  state.refresh = session.refresh_token;
  if (session.user) state.who = session.user.email;
  keep();
}

// The JSON objects of a stream, as they come.
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const parts = (rest + value).split("\n\n");
      rest = parts.pop();
      for (const part of parts) {
        const data = part.split("\n").filter((line) => line.startsWith("data: ")).map((line) => line.slice(6)).join("\n");
        if (data) yield JSON.parse(data).event;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

// Asks for the answer, or goes on with it: once there is a reply, always by its id and what is there of it already.
function stream(reply) {
  if (!reply.id) {
    return call("POST", `/v1/tickets/${reply.ticket}/replies:stream`, { request_id: reply.request });
  }
  const query = new URLSearchParams({ attempt: reply.attempt, after_offset: bytes(reply.text) });
  return call("GET", `/v1/replies/${reply.id}:attach?${query}`);
}

const ENDS = {
  completed: () => "",
  drafted: () => "It is a draft for the desk's people.",
  failed: (failed) => failed.message,
  superseded: () => "You wrote something newer; this answer was put away.",
  cancelled: () => "Stopped.",
  handed_off: (handed) => `A person will answer: ${handed.why}`,
};

// Takes one event in; says whether the reply has ended.
function take(reply, event) {
  if (event.started) {
    reply.id = event.started.reply_id;
    if (reply.attempt !== event.started.attempt) Object.assign(reply, { attempt: event.started.attempt, text: "" });
  } else if (event.restarted) {
    Object.assign(reply, { attempt: event.restarted.attempt, text: "" });
  } else if (event.delta) {
    const known = bytes(reply.text);
    if (event.delta.attempt !== reply.attempt || Number(event.delta.offset) !== known) {
      throw new Error(`A piece at ${event.delta.offset} does not follow ${known}.`);
    }
    reply.text += event.delta.text;
  } else {
    const end = Object.keys(ENDS).find((name) => event[name]);
    if (!end) return false;
    reply.ended = end;
    reply.note = ENDS[end](event[end]);
  }
  return Boolean(reply.ended);
}

async function follow(reply) {
  // Until something else is wanted: another answer, another ticket.
  const isWanted = () => state.reply === reply;
  for (let wait = 250; isWanted() && !reply.ended; wait = Math.min(wait * 2, 8000)) {
    try {
      for await (const event of events(await stream(reply))) {
        if (!isWanted()) return;
        wait = 250;
        const ended = take(reply, event);
        keep();
        show();
        if (ended) break;
      }
    } catch (problem) {
      // So does a connection that broke.
      if (problem instanceof Problem && !problem.passes) {
        Object.assign(reply, { ended: "refused", note: problem.message });
        keep();
        break;
      }
    }
    if (!reply.ended) await new Promise((resolve) => setTimeout(resolve, wait));
  }
  if (isWanted()) await again();
}

async function begin() {
  state.reply = { ticket: state.ticket, request: uuid(), attempt: 0, text: "" };
  keep();
  await reload();
  follow(state.reply);
}

async function reload() {
  const { ticket, messages } = await ask("GET", `/v1/tickets/${state.ticket}`);
  state.title = `#${ticket.number} ${ticket.title}`;
  state.said = [{ author_kind: "AUTHOR_KIND_CUSTOMER", body: ticket.description }, ...messages.reverse()];
  keep();
  show();
}

// Looks at the ticket until that goes well, or never will.
async function again() {
  const { ticket } = state;
  for (let wait = 250; state.ticket === ticket; wait = Math.min(wait * 2, 8000)) {
    try {
      await reload();
      return tell();
    } catch (problem) {
      tell(problem);
      if (problem instanceof Problem && !problem.passes) {
        forget();
        return show();
      }
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

const NAMES = { AUTHOR_KIND_CUSTOMER: "You", AUTHOR_KIND_AGENT: "The desk", AUTHOR_KIND_ASSISTANT: "The assistant" };

function show() {
  at("account").hidden = Boolean(state.access);
  at("ticket").hidden = !state.access || Boolean(state.ticket);
  at("talk").hidden = !state.access || !state.ticket;
  at("log-out").hidden = !state.access;
  at("who").textContent = state.who ? `Logged in as ${state.who}` : "";
  at("talk-title").textContent = state.title ?? "";
  at("messages").replaceChildren(...(state.said ?? []).map((message) => {
    const item = document.createElement("li");
    item.className = message.author_kind === "AUTHOR_KIND_CUSTOMER" ? "customer" : "desk";
    item.append(document.createElement("h3"), document.createElement("p"));
    item.firstChild.textContent = NAMES[message.author_kind] ?? "Deskhand";
    item.lastChild.textContent = message.body;
    return item;
  }));
  const { reply } = state;
  // A posted answer stands among the messages.
  at("answer").hidden = !reply || reply.ended === "completed";
  if (!reply) return;
  at("answer").setAttribute("aria-busy", String(!reply.ended));
  at("answer-text").textContent = reply.text;
  at("answer-state").textContent = reply.note ?? (reply.text ? "" : "is thinking …");
  at("cancel").hidden = !reply.id || Boolean(reply.ended);
}

function tell(problem) {
  at("problem").textContent = problem?.message ?? "";
  at("problem").hidden = !problem;
}

// Runs what a button is for, once at a time, and says what went wrong.
function on(id, kind, action) {
  at(id).addEventListener(kind, async (event) => {
    event.preventDefault();
    const buttons = document.querySelectorAll("button");
    buttons.forEach((button) => { button.disabled = true; });
    tell();
    try {
      await action();
    } catch (problem) {
      tell(problem);
      if (problem.status === 401 && state.access) forget();
    }
    buttons.forEach((button) => { button.disabled = false; });
    show();
  });
}

function forget() {
  for (const name of Object.keys(state)) delete state[name];
  keep();
}

async function logIn() {
  const credentials = { email: at("email").value, password: at("password").value };
  remember(await ask("POST", "/v1/auth/login", credentials));
  at("password").value = "";
}

on("account", "submit", async () => {
  const account = { email: at("email").value, password: at("password").value, display_name: at("name").value };
  await ask("POST", "/v1/auth/signup", account);
  await logIn();
});
on("log-in", "click", logIn);
on("ticket", "submit", async () => {
  const ticket = { title: at("title").value, description: at("description").value, request_id: uuid() };
  state.ticket = (await ask("POST", "/v1/tickets", ticket)).ticket.id;
  await begin();
});
on("post", "submit", async () => {
  await ask("POST", `/v1/tickets/${state.ticket}/messages`, { body: at("body").value, request_id: uuid() });
  at("body").value = "";
  await begin();
});
on("cancel", "click", () => ask("POST", `/v1/replies/${state.reply.id}:cancel`, {}));
on("new-ticket", "click", async () => {
  for (const name of ["ticket", "title", "said", "reply"]) delete state[name];
  keep();
});
on("log-out", "click", async () => {
  await ask("POST", "/v1/auth/logout", {});
  forget();
});

show();
if (state.access && state.ticket) {
  again();
  if (state.reply && !state.reply.ended) follow(state.reply);
}
