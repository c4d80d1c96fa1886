// The spool: a file with the messages that Redis has not acknowledged, in order. Only its owner may read it.
// The format: each line is a message, or `-N`: the oldest N messages were acknowledged. Lines are only appended.
import { randomUUID } from "node:crypto";
import fs from "node:fs";
import { join } from "node:path";

const FILE = /^\d+-(\d+)-(\d+)-[0-9a-f]{8}\.messages(\.new)?$/; // time, process and its start, random
const PRIVATE_FILE = 0o600;
const PRIVATE_FOLDER = 0o700;

export class Spool {
  #folder;
  #most;
  #warn;
  #path;
  #file;
  #lines = [];
  #bytes = 0; // of the messages
  #fileBytes = 0; // of the file, with acknowledged messages
  #isTorn = false; // whether a write failed, so that the file has to be written anew
  #isSynced = true;

  /** most: how many bytes of messages it takes. The file has at most twice that. Throws if the folder is unusable. */
  constructor(folder, most, warn) {
    [this.#folder, this.#most, this.#warn] = [folder, most, warn];
    fs.mkdirSync(folder, { recursive: true, mode: PRIVATE_FOLDER });
    const owner = `${process.pid}-${startOf(process.pid)}`;
    this.#path = join(folder, `${Date.now()}-${owner}-${randomUUID().slice(0, 8)}.messages`);
    const abandoned = this.#abandoned();
    // A `.new` file was not finished when its process was killed. The file that it should replace is complete.
    abandoned.filter((path) => !path.endsWith(".new")).forEach((path) => this.#load(path));
    this.#rewrite();
    abandoned.forEach((path) => fs.rmSync(path, { force: true }));
  }

  get length() {
    return this.#lines.length;
  }

  /** Append a message. Return false if there is no room. It survives the process, and after `sync` the machine. */
  add(line) {
    if (this.#bytes + line.length + 1 > this.#most) return false;
    this.#lines.push(line);
    this.#bytes += line.length + 1;
    this.#write(line);
    return true;
  }

  first(count) {
    return this.#lines.slice(0, count);
  }

  /** Remove the oldest messages. If the disk fails here they are sent again, which is safe. */
  remove(count) {
    for (const line of this.#lines.splice(0, count)) this.#bytes -= line.length + 1;
    if (this.length) this.#write(`-${count}`);
    else this.#attempt(() => this.#empty());
  }

  /** Wait until the messages are on the disk. */
  async sync() {
    if (this.#isTorn) this.#attempt(() => this.#rewrite());
    if (this.#isSynced) return;
    this.#isSynced = true;
    await new Promise((resolve) => fs.fdatasync(this.#file, (error) => resolve(error && this.#fail(error))));
  }

  /** Close the file, and delete it if it is empty. */
  close() {
    this.#attempt(() => {
      if (!this.length) fs.rmSync(this.#path, { force: true });
      // Another process may have taken the file over, and deleted it.
      else if (this.#isTorn || !fs.existsSync(this.#path)) this.#rewrite();
      else fs.fsyncSync(this.#file);
    });
    fs.closeSync(this.#file);
  }

  #write(line) {
    if (this.#isTorn) return;
    this.#attempt(() => {
      writeAll(this.#file, `${line}\n`);
      this.#fileBytes += line.length + 1;
      this.#isSynced = false;
      if (this.#fileBytes > 2 * this.#most) this.#rewrite();
    });
  }

  #empty() {
    fs.ftruncateSync(this.#file, 0);
    [this.#fileBytes, this.#isTorn, this.#isSynced] = [0, false, true];
  }

  /** Write a new file and move it into place, so that the file is always complete. */
  #rewrite() {
    const unfinished = `${this.#path}.new`;
    fs.rmSync(unfinished, { force: true });
    const file = fs.openSync(unfinished, "ax", PRIVATE_FILE);
    try {
      writeAll(file, this.#lines.map((line) => `${line}\n`).join(""));
      fs.fsyncSync(file);
      fs.renameSync(unfinished, this.#path);
    } catch (error) {
      fs.closeSync(file);
      throw error;
    }
    if (this.#file !== undefined) fs.closeSync(this.#file);
    [this.#file, this.#fileBytes, this.#isTorn, this.#isSynced] = [file, this.#bytes, false, true];
  }

  #attempt(work) {
    try {
      work();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** While the disk fails, the messages are in memory only. Each `sync` tries to write them again. */
  #fail(error) {
    this.#isTorn = true;
    this.#warn("spool_unavailable", { folder: this.#folder, error: error.message });
  }

  #abandoned() {
    const isAbandoned = (name) => FILE.test(name) && !isRunning(...FILE.exec(name).slice(1, 3));
    return fs.readdirSync(this.#folder).filter(isAbandoned).sort().map((name) => join(this.#folder, name));
  }

  #load(path) {
    const lines = fs.readFileSync(path, "latin1").split("\n");
    lines.pop(); // empty, or a line that was not written to its end: its caller was never told that it is in the spool
    let found = [];
    for (const line of lines) {
      if (/^-\d+$/.test(line)) found = found.slice(Number(line.slice(1)));
      else if (isMessage(line)) found.push(line);
      else this.#warn("spool_damaged", { path, advice: "check the disk; a line of the spool was left out" });
    }
    this.#lines.push(...found);
    for (const line of found) this.#bytes += line.length + 1;
  }
}

function isMessage(line) {
  try {
    return typeof JSON.parse(line).body === "string";
  } catch {
    return false;
  }
}

function writeAll(file, text) {
  const bytes = Buffer.from(text, "latin1");
  for (let begin = 0; begin < bytes.length; ) begin += fs.writeSync(file, bytes, begin);
}

/** Return whether this process exists, and did not get its number from one that has ended. */
function isRunning(pid, start) {
  try {
    process.kill(Number(pid), 0);
  } catch (error) {
    return error.code === "EPERM";
  }
  return startOf(pid) === start;
}

/** Return when a process was started, in the kernel's unit, or 0 where the system does not tell. */
function startOf(pid) {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return "0";
  }
}
