// A complete bot for Telegram. It records what members do. Run: npm ci && BOT_TOKEN=… node telegram-bot.js
import { Bot } from "grammy";
import { Participation, log, settings } from "./participation.js";
import { ALLOWED_UPDATES, TelegramEvents } from "./telegram-events.js";

const { BOT_TOKEN, BOT_API_URL: apiRoot = "https://api.telegram.org" } = process.env;

const bot = new Bot(BOT_TOKEN, { client: { apiRoot } });
const participation = new Participation();
const events = new TelegramEvents(participation, settings().folder);

// Telegram sends an update again until the bot asks for the next ones. By then its events are in the spool.
bot.use((context, next) => {
  events.hear(context.update);
  return next();
});

// Your bot's own handlers stand here: bot.command("hello", …)

for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => bot.stop());
bot.catch(({ error }) => log("handler_failed", { error: `${error}` }));
try {
  await bot.start({ allowed_updates: ALLOWED_UPDATES, onStart: (me) => log("running", { bot: me.id }) });
} finally {
  await participation.close();
}
