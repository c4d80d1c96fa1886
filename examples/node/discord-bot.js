// A complete bot for Discord. It records what members do. Run: npm ci && DISCORD_TOKEN=… node discord-bot.js
import { Client, GatewayIntentBits as Intent } from "discord.js";
import { DiscordEvents } from "./discord-events.js";
import { Participation, log } from "./participation.js";

const { DISCORD_TOKEN, DISCORD_API_URL: api = "https://discord.com/api", VOICE_ROUND_SECONDS = "300" } = process.env;

// `GuildMembers` is for joins and leaves; also turn it on in Discord's developer portal. Message content is not needed.
const intents = [Intent.Guilds, Intent.GuildMessages, Intent.GuildMessageReactions, Intent.GuildVoiceStates];
const client = new Client({ intents: [...intents, Intent.GuildMembers], rest: { api } });
const participation = new Participation();
const events = new DiscordEvents(client, participation);
const rounds = setInterval(() => participation.record(() => events.round()), Number(VOICE_ROUND_SECONDS) * 1000);

// Your bot's own handlers stand here: client.on("messageCreate", …)

async function stop() {
  clearInterval(rounds);
  participation.record(() => events.round());
  await client.destroy();
  await participation.close();
  process.exit();
}

for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, stop);
client.on("error", (error) => log("discord_error", { error: error.message }));
client.once("clientReady", () => log("running", { bot: client.user.id }));
await client.login(DISCORD_TOKEN);
