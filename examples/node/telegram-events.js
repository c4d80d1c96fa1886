// Turns updates of Telegram's Bot API into events, names and presence. Each time is that of the update, so an update
// that is delivered again gives the same events.
import fs from "node:fs";
import { join } from "node:path";
import { warn } from "./participation.js";

const PLATFORM = "telegram";
const REMEMBERED_ALBUMS = 256;
const PRIVATE_FILE = 0o600;

/** The updates that a bot must ask for. Telegram sends some of them only to bots that name them. */
export const ALLOWED_UPDATES = ["message", "message_reaction", "chat_member", "my_chat_member"];

/** The fields with the content of a message. A message with none of them is a service message. */
const CONTENT = [
  ..."animation audio checklist contact dice document game invoice live_photo location paid_media photo".split(" "),
  ..."poll rich_message sticker story text venue video video_note voice".split(" "),
];

export class TelegramEvents {
  #participation;
  #albums;

  /** folder: where the first messages of albums are kept. */
  constructor(participation, folder) {
    [this.#participation, this.#albums] = [participation, new Albums(join(folder, "telegram-albums.json"))];
  }

  /** Record an update. It never throws. */
  hear({ message, message_reaction: reactions, chat_member: member, my_chat_member: bot }) {
    const part = message ?? reactions ?? member ?? bot;
    if (!part || !isGroup(part.chat)) return;
    this.#participation.record(() => {
      this.#noteChat(part);
      if (message) this.#message(message);
      else if (reactions) this.#reactions(reactions);
      else if (member) this.#member(member);
      else this.#notePresence(bot.chat.id, isMember(bot.new_chat_member), bot.date);
    });
  }

  #message(message) {
    const { chat, sender_chat: senderChat, from } = message;
    this.#noteMigration(message);
    if (message.is_automatic_forward || !message.message_id || !CONTENT.some((field) => message[field])) return;
    if (!(senderChat ?? from)) return;
    this.#noteAccount(chat, senderChat ?? from, message.date);
    if (message.media_group_id && !this.#albums.isFirst(message)) return; // the first message counts for its album
    this.#track("MESSAGE_SENT", message, senderChat, from, {
      object_id: `${message.message_id}`,
      metadata: { ...topic(message), ...reply(message), ...duration(message) },
    });
  }

  #reactions(changed) {
    const { chat, user, actor_chat: actorChat } = changed;
    if (!(actorChat ?? user)) return;
    this.#noteAccount(chat, actorChat ?? user, changed.date);
    const [old, now] = [new Set(changed.old_reaction.map(emojiOf)), new Set(changed.new_reaction.map(emojiOf))];
    const react = (type) => (emoji) =>
      this.#track(type, changed, actorChat, user, { object_id: `${changed.message_id}`, metadata: { emoji } });
    [...old].filter((emoji) => !now.has(emoji)).forEach(react("REACTION_REMOVED"));
    [...now].filter((emoji) => !old.has(emoji)).forEach(react("REACTION_ADDED"));
  }

  #member(changed) {
    const { old_chat_member: before, new_chat_member: after, chat, date } = changed;
    const isIn = isMember(after);
    if (isMember(before) === isIn) return;
    if (isIn) this.#noteAccount(chat, after.user, date, { joined_at: time(date) });
    const metadata = isIn ? invite(changed) : { reason: reason(changed) };
    this.#track(isIn ? "MEMBER_JOINED" : "MEMBER_LEFT", changed, undefined, after.user, { metadata });
  }

  #track(event_type, { chat, date }, asChat, user, more) {
    // Members who speak as a chat share an account, so the chat is named.
    const kind = asChat ? "anonymous" : user.is_bot ? "bot" : "user";
    const who = { member_id: `${(asChat ?? user).id}`, actor_kind: kind };
    const what = { event_type, ...owner(chat.id), channel_id: `${chat.id}`, ...who, occurred_at: time(date) };
    this.#participation.track({ ...what, ...more });
  }

  #notePresence(chatId, is_present, date) {
    this.#participation.notePresence({ ...owner(chatId), space_id: `${chatId}`, is_present, changed_at: time(date) });
  }

  // ---- names ----

  #noteAccount(chat, who, date, more = {}) {
    const name = who.title ?? [who.first_name, who.last_name].filter(Boolean).join(" ");
    const account = { id: `${who.id}`, name, username: who.username ?? null, ...more };
    this.#participation.noteNames([{ kind: "account", ...owner(chat.id), ...account, seen_at: time(date) }]);
  }

  #noteChat({ chat, date, new_chat_title: renamed, migrate_from_chat_id: from, ...message }) {
    const named = { ...owner(chat.id), id: `${chat.id}`, name: renamed ?? chat.title, seen_at: time(date) };
    const former = from ? { former_id: `${from}` } : {};
    const names = [{ kind: "space", ...named, ...former }, { kind: "channel", ...named, is_public: true }];
    this.#participation.noteNames([...names, ...this.#topic(named, message)]);
  }

  /** Return the name of the topic. Each message in it that answers no other answers the topic's first message. */
  #topic(parent, { message_thread_id: number, is_topic_message: isInTopic, reply_to_message: answered, ...message }) {
    const { name: renamed } = message.forum_topic_edited ?? message.forum_topic_created ?? {};
    const name = renamed ?? answered?.forum_topic_created?.name;
    if (!name || !isInTopic) return [];
    const place = { id: `${parent.id}/${number}`, parent_id: parent.id, is_public: true };
    const topic = { ...parent, kind: "channel", ...place, name };
    // The first message keeps the first name, so it counts only while nothing else is known.
    return renamed || !this.#participation.knows(topic) ? [topic] : [];
  }

  /** A group that becomes a supergroup gets a new id. Telegram says so in both chats. */
  #noteMigration({ chat, date, migrate_to_chat_id: to, migrate_from_chat_id: from }) {
    if (!to && !from) return;
    const [oldId, newId] = to ? [chat.id, to] : [from, chat.id];
    const space = { id: `${newId}`, name: chat.title, former_id: `${oldId}`, seen_at: time(date) };
    this.#participation.noteNames([{ kind: "space", ...owner(newId), ...space }]);
    // Telegram may have said before that the bot was removed from the old chat.
    for (const id of [oldId, newId]) this.#notePresence(id, true, date);
  }
}

/** Remembers the first message of each album, also over a restart in the middle of one. */
class Albums {
  #path;
  #first;

  constructor(path) {
    this.#path = path;
    try {
      this.#first = new Map(Object.entries(JSON.parse(fs.readFileSync(path, "utf-8"))));
    } catch {
      this.#first = new Map();
    }
  }

  isFirst({ chat, media_group_id: group, message_id: id }) {
    const album = `${chat.id}/${group}`;
    if (!this.#first.has(album)) this.#add(album, id);
    return this.#first.get(album) === id;
  }

  #add(album, id) {
    this.#first.set(album, id);
    if (this.#first.size > REMEMBERED_ALBUMS) this.#first.delete(this.#first.keys().next().value);
    try {
      fs.writeFileSync(`${this.#path}.new`, JSON.stringify(Object.fromEntries(this.#first)), { mode: PRIVATE_FILE });
      fs.renameSync(`${this.#path}.new`, this.#path);
    } catch (error) {
      warn("albums_unwritable", { error: error.message }); // a restart in the middle of an album counts it twice
    }
  }
}

function owner(chatId) {
  return { platform: PLATFORM, community_id: `${PLATFORM}:${chatId}` };
}

/** Return whether the chat is a community. What people write to a channel in private is a supergroup too. */
function isGroup(chat) {
  return ["group", "supergroup"].includes(chat.type) && !chat.is_direct_messages;
}

function isMember({ status, is_member }) {
  return ["creator", "administrator", "member"].includes(status) || (status === "restricted" && is_member);
}

/** Return the emoji, the id of a custom emoji, or `paid` for a star. */
function emojiOf({ type, emoji, custom_emoji_id: custom }) {
  return emoji ?? custom ?? type;
}

/** Return the topic. Answers outside of forums have a thread id too. */
function topic({ is_topic_message: isInTopic, message_thread_id: id }) {
  return isInTopic ? { topic_id: `${id}` } : {};
}

/** Return which message was answered. In a topic, a message that answers none answers the topic's first message. */
function reply({ reply_to_message: answered }) {
  return answered && !answered.forum_topic_created ? { reply_to: `${answered.message_id}` } : {};
}

function duration({ voice, video_note: note }) {
  const seconds = (voice ?? note)?.duration;
  return seconds === undefined ? {} : { duration_seconds: seconds };
}

function invite({ via_join_request: isRequest, invite_link: link }) {
  if (isRequest) return { invite: "request" };
  return link?.name ? { invite: link.name } : {};
}

function reason({ from, new_chat_member: { status, user } }) {
  if (status === "kicked") return "banned";
  return from.id === user.id ? "left" : "kicked";
}

function time(seconds) {
  return new Date(seconds * 1000).toISOString();
}
