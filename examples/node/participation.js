// Sends events and notices to participation. A bot calls it and goes on, because it does not wait for Redis.
// In: what a bot sees. Out: Celery messages (protocol 2) in the Redis list `participation.events`.
// A message is in the spool, a file, before `track` returns. It leaves the spool when Redis has acknowledged it.
import { randomUUID } from "node:crypto";
import { homedir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "@redis/client";
import { Spool } from "./spool.js";

const QUEUE = "participation.events";
const TRACK_EVENT = "participation.track_event";
const NOTE_NAMES = "participation.note_names";
const NOTE_PRESENCE = "participation.note_presence";

const MESSAGES_IN_ONE_PUSH = 500;
const NAMES_IN_ONE_NOTICE = 100; // participation takes at most 500
const REMEMBERED_NAMES = 50_000;
const RETRY_MILLISECONDS = 1_000;
const MINUTE_MILLISECONDS = 60_000;

/** Return the message (protocol 2 of Celery) that calls the task with one argument. It is ASCII, without a line end. */
export function encode(task, argument) {
  const id = randomUUID();
  const headers = { lang: "js", task, id, root_id: id, parent_id: null, group: null, timelimit: [null, null] };
  const properties = { correlation_id: id, delivery_info: { exchange: "", routing_key: QUEUE }, delivery_mode: 2 };
  return JSON.stringify({
    body: Buffer.from(JSON.stringify([[argument], {}, {}])).toString("base64"),
    "content-encoding": "utf-8",
    "content-type": "application/json",
    headers: { ...headers, argsrepr: "(...)", kwargsrepr: "{}", sent_at: Date.now() / 1000 },
    properties: { ...properties, priority: 0, body_encoding: "base64", delivery_tag: randomUUID() },
  });
}

/** Read the settings, which have the names and meanings of participation's own. */
export function settings({ env } = process) {
  return {
    redisUrl: env.REDIS_URL ?? "redis://127.0.0.1:6379/0",
    folder: env.PARTICIPATION_SPOOL_DIR ?? join(homedir(), ".local/share/participation/spool"),
    spoolBytes: positive(env, "PARTICIPATION_SPOOL_MEGABYTES", 64) * 1_000_000,
    timeoutMilliseconds: positive(env, "PARTICIPATION_PUBLISH_TIMEOUT_SECONDS", 2) * 1000,
  };
}

function positive(env, name, otherwise) {
  const value = Number(env[name] ?? otherwise);
  if (!(value > 0)) throw new Error(`${name}: must be a number above 0; got ${env[name]}`);
  return value;
}

/** Log a constant name with fields. The fields never hold events, names or credentials. */
export function log(name, fields = {}) {
  const shown = Object.entries(fields).map(([field, value]) => ` ${field}=${JSON.stringify(value)}`);
  console.error(`${new Date().toISOString()} ${name}${shown.join("")}`);
}

const lastLogged = new Map();

/** Log, but each name at most once a minute. */
export function warn(name, fields) {
  const now = Date.now();
  if (now - (lastLogged.get(name) ?? -MINUTE_MILLISECONDS) < MINUTE_MILLISECONDS) return;
  lastLogged.set(name, now);
  log(name, fields);
}

/** The bot's side of participation. `counters` has the numbers of messages since the start. */
export class Participation {
  #settings;
  #spool;
  #names = new Map();
  #redis;
  #running;
  #wake = () => {};
  #isClosing = false;
  #end = new AbortController();
  #isAway = false;
  counters = { tracked: 0, sent: 0, refused: 0, failed: 0 };

  constructor(given = settings()) {
    this.#settings = given;
    client(given); // throws if the URL is wrong
    this.#spool = new Spool(given.folder, given.spoolBytes, warn);
    if (this.#spool.length) log("spool_found", { messages: this.#spool.length });
    this.#running = this.#run();
  }

  get waiting() {
    return this.#spool.length;
  }

  get #isOver() {
    return this.#end.signal.aborted;
  }

  /** Take an event. Return false if there is no room for it. */
  track(event) {
    return this.#add(TRACK_EVENT, event);
  }

  /** Tell whether the bot is in a guild or chat: community_id, platform, space_id, is_present, changed_at. */
  notePresence(presence) {
    return this.#add(NOTE_PRESENCE, presence);
  }

  /** Tell the names that are new or have changed since this process saw them. */
  noteNames(names) {
    const changed = names.filter((name) => !this.#isKnown(name));
    for (let begin = 0; begin < changed.length; begin += NAMES_IN_ONE_NOTICE) {
      const some = changed.slice(begin, begin + NAMES_IN_ONE_NOTICE);
      if (this.#add(NOTE_NAMES, some)) some.forEach((name) => this.#remember(name));
    }
  }

  /** Return whether this process has told a name of this account, channel or space. */
  knows(name) {
    return this.#names.has(key(name));
  }

  /** Call a function that reads an update. An update that it cannot read is counted and logged, and ends nothing. */
  record(read, ...given) {
    try {
      read(...given);
    } catch (error) {
      this.counters.failed += 1;
      warn("event_lost", { failed: this.counters.failed, error: `${error}` });
    }
  }

  /** Wait until Redis has everything, but not longer than this. What is left stays in the spool for the next start. */
  async close(seconds = 5) {
    this.#isClosing = true;
    this.#wake();
    const deadline = setTimeout(() => this.#end.abort(), seconds * 1000);
    await Promise.race([this.#running, once(this.#end.signal)]);
    clearTimeout(deadline);
    this.#end.abort();
    this.#disconnect();
    if (this.waiting) log("events_left", { spooled: this.waiting, advice: "the next start of the bot sends them" });
    log("stopped", { ...this.counters, spooled: this.waiting });
    this.#spool.close();
  }

  #add(task, argument) {
    if (this.#isOver || !this.#spool.add(encode(task, argument))) {
      this.counters.refused += 1;
      const advice = "the spool is full: bring Redis back, or raise PARTICIPATION_SPOOL_MEGABYTES";
      warn("event_refused", { refused: this.counters.refused, spooled: this.waiting, advice });
      return false;
    }
    this.counters.tracked += 1;
    this.#wake();
    return true;
  }

  #isKnown(name) {
    const known = this.#names.get(key(name));
    const isSame = ([field, value]) => field === "seen_at" || value === undefined || value === known[field];
    return known !== undefined && Object.entries(name).every(isSame);
  }

  #remember(name) {
    this.#names.delete(key(name));
    this.#names.set(key(name), name);
    if (this.#names.size > REMEMBERED_NAMES) this.#names.delete(this.#names.keys().next().value);
  }

  async #run() {
    while (!this.#isOver && !(this.#isClosing && !this.waiting)) {
      if (!this.waiting) {
        await new Promise((wake) => (this.#wake = wake));
      } else if (!(await this.#send())) {
        await sleep(RETRY_MILLISECONDS, undefined, { signal: this.#end.signal }).catch(() => {}); // `close` ends it
      }
    }
  }

  /** Send the oldest messages. Return whether Redis has acknowledged them. */
  async #send() {
    const messages = this.#spool.first(MESSAGES_IN_ONE_PUSH);
    try {
      await this.#push(messages);
    } catch (error) {
      if (this.#isOver) return false; // `close` has ended the connection
      this.#isAway = true;
      warn("redis_unavailable", { spooled: this.waiting, error: error.message });
      await this.#spool.sync();
      return false;
    }
    if (this.#isOver) return false; // the spool is closed; the next start sends them again, which is safe
    this.#spool.remove(messages.length);
    this.counters.sent += messages.length;
    if (this.#isAway) log("redis_available", { spooled: this.waiting, refused: this.counters.refused });
    this.#isAway = false;
    return true;
  }

  async #push(messages) {
    const { timeoutMilliseconds } = this.#settings;
    try {
      if (!this.#redis?.isReady) {
        this.#disconnect();
        this.#redis = client(this.#settings);
        await within(timeoutMilliseconds, this.#redis.connect());
      }
      // One command: all messages or none, in their order, because workers take from the other end of the list.
      await within(timeoutMilliseconds, this.#redis.lPush(QUEUE, messages));
    } catch (error) {
      // Without an answer it is unknown whether Redis has them. They are sent again, and stored once.
      this.#disconnect();
      throw error;
    }
  }

  #disconnect() {
    if (this.#redis?.isOpen) this.#redis.destroy();
    this.#redis = undefined;
  }
}

function key({ kind, platform, community_id, id }) {
  return JSON.stringify([kind, platform, community_id, id]);
}

/** Return a client that neither reconnects nor queues: the loop above does that, with the spool. */
function client({ redisUrl, timeoutMilliseconds }) {
  const socket = { connectTimeout: timeoutMilliseconds, reconnectStrategy: false };
  try {
    const redis = createClient({ url: redisUrl, socket, disableOfflineQueue: true, disableClientInfo: true });
    return redis.on("error", () => {}); // the command that fails throws the same error
  } catch {
    throw new Error("REDIS_URL: must be an address like redis://:PASSWORD@127.0.0.1:6379/0"); // never quote a password
  }
}

function once(signal) {
  return new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
}

async function within(milliseconds, work) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer in ${milliseconds / 1000} s`)), milliseconds);
  });
  work.catch(() => {}); // an answer after the deadline
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
