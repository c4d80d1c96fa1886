// A complete bot for Telegram in JavaScript. It sends messages and reactions as events. Run: npm ci && node bot.js
import { randomUUID } from "node:crypto";
import { setTimeout } from "node:timers/promises";
import { createClient } from "celery-node";
import { Bot } from "grammy";
const { BOT_TOKEN, BOT_API_URL: apiRoot = "https://api.telegram.org" } = process.env;
const { REDIS_URL = "redis://127.0.0.1:6379/0" } = process.env;
const celery = createClient(REDIS_URL, REDIS_URL), bot = new Bot(BOT_TOKEN, { client: { apiRoot } });
const underway = new Set(), albums = {};
celery.broker.redis.on("error", (error) => console.error(`Redis: ${error.message}`));
async function send(event) {
  const { headers, properties, body } = celery.asTaskV2(randomUUID(), "participation.track_event", [event], {});
  try { await celery.broker.publish(body, "", "participation.events", headers, properties); }
  catch (error) { console.error(error.message); await setTimeout(1000).then(() => send(event)); } // try again in 1 s
}
function track(event_type, { chat, date, message_id }, who, more = {}) {
  if (!chat.type.endsWith("group") || chat.is_direct_messages) return;
  const place = { platform: "telegram", community_id: `telegram:${chat.id}`, channel_id: `${chat.id}` };
  const member = { member_id: `${who.id}`, actor_kind: who.is_bot ? "bot" : who.type ? "anonymous" : "user" };
  const what = { event_type, object_id: `${message_id}`, occurred_at: new Date(date * 1000), ...more };
  const sending = send({ ...place, ...member, ...what }).finally(() => underway.delete(sending));
  underway.add(sending);
}
bot.on(["message:text", "message:media", "message:sticker"], ({ message }, next) => {
  const { chat, media_group_id: group, message_id: id } = message;
  const isFirst = !group || (albums[`${chat.id}/${group}`] ??= id) === id; // the first message counts for its album
  if (isFirst && !message.is_automatic_forward) track("MESSAGE_SENT", message, message.sender_chat ?? message.from);
  return next(); // call the bot's own handlers
});
bot.on("message_reaction", (context, next) => {
  const { messageReaction: changed } = context, { emojiAdded, emojiRemoved } = context.reactions();
  const react = (type) => (emoji) => track(type, changed, changed.user ?? changed.actor_chat, { metadata: { emoji } });
  emojiRemoved.forEach(react("REACTION_REMOVED"));
  emojiAdded.forEach(react("REACTION_ADDED"));
  return next();
});
["SIGINT", "SIGTERM"].forEach((signal) => process.once(signal, () => bot.stop()));
await bot.start({ allowed_updates: ["message", "message_reaction"] });
await Promise.all(underway).then(() => celery.disconnect());
