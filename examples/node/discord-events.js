// Turns what Discord's gateway sends into events, names and presence. It reads the packets, not the objects of
// discord.js: they are complete for messages that are not cached, have every digit of a time, and come in order.
import { ChannelType, PermissionFlagsBits } from "discord.js";

const PLATFORM = "discord";
const DEFAULT = 0;
const REPLY = 19;
const FORWARD = 1;
const EPOCH = 1_420_070_400_000n; // Discord's ids count milliseconds from this time
const RANDOM_BITS = 22n;
const REMEMBERED_REACTIONS = 10_000;

export class DiscordEvents {
  #client;
  #participation;
  #guilds = new Map(); // by id: the shard, the AFK channel, and who sits in which voice channel
  #online = new Set(); // shards
  #last = new Map(); // the number of the last packet, by shard
  #reactions = new Map(); // the latest: whether one was added, by message, account and emoji

  constructor(client, participation) {
    [this.#client, this.#participation] = [client, participation];
    client.on("raw", (packet, shard) => participation.record(() => this.#hear(packet, shard)));
    for (const name of ["shardDisconnect", "shardReconnecting"]) {
      client.on(name, (...given) => this.#online.delete(given.at(-1)));
    }
    const noteGuild = (guild) => participation.record(() => this.#noteGuild(guild));
    client.on("clientReady", () => client.guilds.cache.forEach(noteGuild));
    for (const name of ["guildCreate", "guildAvailable"]) client.on(name, noteGuild);
    client.on("guildUpdate", (_, guild) => noteGuild(guild));
    client.on("roleUpdate", (_, role) => role.id === role.guild.id && noteGuild(role.guild)); // everyone's rights
    const noteChannel = (channel) => participation.record(() => this.#noteChannels([channel]));
    for (const name of ["channelCreate", "threadCreate"]) client.on(name, noteChannel);
    for (const name of ["channelUpdate", "threadUpdate"]) client.on(name, (_, channel) => noteChannel(channel));
  }

  /** Record who is in voice. Call it every five minutes and before the bot ends: a stay counts up to the last time. */
  round() {
    for (const [guildId, { shard }] of this.#guilds) {
      if (this.#online.has(shard)) this.#present(guildId);
    }
  }

  #hear({ t: kind, s: number, d: data }, shard) {
    if (kind === "READY") this.#last.delete(shard);
    // After a RESUME, Discord may send packets again.
    if (number <= (this.#last.get(shard) ?? 0)) return;
    this.#last.set(shard, number);
    this.#handlers[kind]?.(data, shard);
  }

  #handlers = {
    READY: (data, shard) => this.#sessionBegan(shard),
    RESUMED: (data, shard) => this.#online.add(shard),
    GUILD_CREATE: (guild, shard) => this.#guildAvailable(guild, shard),
    GUILD_UPDATE: (guild) => Object.assign(this.#guild(guild.id), { afk: guild.afk_channel_id }),
    GUILD_DELETE: (guild) => this.#guildGone(guild),
    MESSAGE_CREATE: (message) => this.#message(message),
    MESSAGE_REACTION_ADD: (reaction) => this.#reaction("REACTION_ADDED", reaction),
    MESSAGE_REACTION_REMOVE: (reaction) => this.#reaction("REACTION_REMOVED", reaction),
    MESSAGE_REACTION_REMOVE_ALL: () => this.#reactions.clear(),
    MESSAGE_REACTION_REMOVE_EMOJI: () => this.#reactions.clear(),
    VOICE_STATE_UPDATE: (state) => this.#voiceState(state),
    CHANNEL_DELETE: (channel) => this.#channelDeleted(channel),
    GUILD_MEMBER_ADD: (member) => this.#joined(member),
    GUILD_MEMBER_UPDATE: (member) => this.#memberUpdated(member),
    GUILD_MEMBER_REMOVE: (member) => this.#left(member),
  };

  // ---- messages, reactions, members ----

  #message(message) {
    const { guild_id: guildId, author, webhook_id: webhookId, message_reference: reference } = message;
    if (!guildId || ![DEFAULT, REPLY].includes(message.type)) return;
    // The answer to a command comes through a webhook with the id of the application.
    const isWebhook = webhookId && webhookId !== message.application_id;
    if (!isWebhook) this.#noteAccount(guildId, author, message.member);
    const isReply = message.type === REPLY && reference?.type !== FORWARD;
    this.#track(guildId, "MESSAGE_SENT", author.id, new Date(timeOf(message.id)), {
      channel_id: message.channel_id,
      object_id: message.id,
      actor_kind: isWebhook ? "webhook" : kindOf(author),
      metadata: { ...this.#place(message.channel_id), ...(isReply ? { reply_to: reference?.message_id } : {}) },
    });
  }

  #reaction(type, { guild_id: guildId, user_id: userId, member, channel_id, message_id, emoji }) {
    const name = emoji.id ?? emoji.name;
    if (!guildId || this.#isRepeated(type, `${message_id} ${userId} ${name}`)) return;
    if (member) this.#noteAccount(guildId, member.user, member);
    this.#track(guildId, type, userId, new Date(), {
      channel_id,
      object_id: message_id,
      actor_kind: kindOf(member?.user ?? this.#client.users.cache.get(userId)),
      metadata: { emoji: name, ...this.#place(channel_id) },
    });
  }

  /** Return whether the previous change of a reaction was the same. Nobody adds a reaction twice in a row. */
  #isRepeated(type, reaction) {
    const before = this.#reactions.get(reaction);
    this.#reactions.delete(reaction);
    this.#reactions.set(reaction, type);
    if (this.#reactions.size > REMEMBERED_REACTIONS) this.#reactions.delete(this.#reactions.keys().next().value);
    return before === type;
  }

  #joined(member) {
    this.#noteAccount(member.guild_id, member.user, member);
    const at = member.joined_at ?? new Date();
    this.#track(member.guild_id, "MEMBER_JOINED", member.user.id, at, { actor_kind: kindOf(member.user) });
  }

  #left({ guild_id: guildId, user }) {
    const now = new Date();
    this.#move(guildId, user.id, undefined, now); // leaving the guild ends voice too
    this.#track(guildId, "MEMBER_LEFT", user.id, now, { actor_kind: kindOf(user) });
  }

  /** Note a new nickname, but not of members who have done nothing yet. */
  #memberUpdated({ guild_id: guildId, user, ...member }) {
    const known = { kind: "account", ...owner(guildId), id: user.id };
    if (this.#participation.knows(known)) this.#noteAccount(guildId, user, member);
  }

  // ---- voice ----

  #voiceState({ guild_id: guildId, member, ...state }) {
    if (!guildId) return;
    if (state.channel_id && member) this.#noteAccount(guildId, member.user, member);
    const isSeated = state.channel_id && state.channel_id !== this.#guild(guildId).afk; // the AFK channel is no voice
    this.#move(guildId, state.user_id, isSeated ? seatOf(state, member?.user) : undefined, new Date());
  }

  /**
   * Note where an account sits now. Muting and streaming change nothing. A move is a leave and a join at one time. Who
   * deafens, or no longer does, is present at that moment, because time in voice may count differently from then on.
   */
  #move(guildId, userId, seat, now) {
    const { seats } = this.#guild(guildId);
    const before = seats.get(userId);
    if (seat) seats.set(userId, seat);
    else seats.delete(userId);
    if (before?.channel_id === seat?.channel_id) {
      const isChanged = before?.metadata?.deaf !== seat?.metadata?.deaf;
      if (isChanged) this.#track(guildId, "VOICE_PRESENT", userId, now, seat);
      return;
    }
    if (before) this.#track(guildId, "VOICE_LEFT", userId, now, { ...before, metadata: {} });
    if (seat) this.#track(guildId, "VOICE_JOINED", userId, now, seat);
  }

  #channelDeleted({ guild_id: guildId, id }) {
    const inside = [...this.#guild(guildId).seats].filter(([, seat]) => seat.channel_id === id);
    for (const [userId] of inside) this.#move(guildId, userId, undefined, new Date());
  }

  #present(guildId) {
    const now = new Date();
    for (const [userId, seat] of this.#guild(guildId).seats) this.#track(guildId, "VOICE_PRESENT", userId, now, seat);
  }

  // ---- guilds and the connection ----

  #sessionBegan(shard) {
    // What happened before a new session is not sent. GUILD_CREATE tells who is in voice now.
    for (const guild of this.#guilds.values()) if (guild.shard === shard) guild.seats.clear();
    this.#reactions.clear();
    this.#online.add(shard);
  }

  #guildAvailable(guild, shard) {
    if (guild.unavailable) return;
    const members = new Map(guild.members.map((member) => [member.user.id, member]));
    const seats = new Map();
    const names = [];
    for (const state of guild.voice_states) {
      const member = members.get(state.user_id);
      if (!member || !state.channel_id || state.channel_id === guild.afk_channel_id) continue;
      seats.set(state.user_id, seatOf(state, member.user));
      names.push(account(guild.id, member.user, member));
    }
    this.#participation.noteNames(names);
    this.#guilds.set(guild.id, { shard, afk: guild.afk_channel_id, seats });
    this.#notePresence(guild.id, true);
    this.#present(guild.id);
  }

  #guildGone({ id, unavailable }) {
    this.#guilds.delete(id);
    this.#reactions.clear();
    if (!unavailable) this.#notePresence(id, false); // otherwise it is an outage
  }

  #guild(id) {
    if (!this.#guilds.has(id)) this.#guilds.set(id, { seats: new Map() });
    return this.#guilds.get(id);
  }

  #track(guildId, event_type, member_id, at, more) {
    const occurred_at = at instanceof Date ? at.toISOString() : at;
    this.#participation.track({ event_type, ...owner(guildId), member_id, occurred_at, ...more });
  }

  #notePresence(guildId, is_present) {
    const changed_at = new Date().toISOString();
    this.#participation.notePresence({ ...owner(guildId), space_id: guildId, is_present, changed_at });
  }

  // ---- names, and where channels belong ----

  #noteAccount(guildId, user, member) {
    this.#participation.noteNames([account(guildId, user, member)]);
  }

  #noteGuild(guild) {
    if (!guild.available) return;
    this.#participation.noteNames([
      { kind: "space", ...owner(guild.id), id: guild.id, name: guild.name, seen_at: now() },
    ]);
    this.#noteChannels([...guild.channels.cache.values()]);
  }

  #noteChannels(channels) {
    const names = channels.map((channel) => ({
      kind: "channel",
      ...owner(channel.guild.id),
      id: channel.id,
      name: channel.name,
      ...(channel.isThread() ? { parent_id: channel.parentId } : { category_id: channel.parentId }),
      is_public: isPublic(channel),
      seen_at: now(),
    }));
    this.#participation.noteNames(names);
  }

  /** Return what a channel is in: a thread or post in its parent, and this in a category. */
  #place(channelId) {
    const channel = this.#client.channels.cache.get(channelId);
    const isThread = channel?.isThread();
    const category = isThread ? channel.parent?.parentId : channel?.parentId;
    return { ...(isThread ? { parent_id: channel.parentId } : {}), ...(category ? { category_id: category } : {}) };
  }
}

function owner(guildId) {
  return { platform: PLATFORM, community_id: `${PLATFORM}:${guildId}` };
}

function account(guildId, user, member) {
  const name = member?.nick ?? user.global_name ?? user.username;
  const names = { id: user.id, name, username: user.username, joined_at: member?.joined_at ?? undefined };
  return { kind: "account", ...owner(guildId), ...names, seen_at: now() };
}

/** Return the kind of an account. An unknown account counts as a person's, because most are. */
/** Return where a voice state places an account, and whether it has deafened itself. */
function seatOf({ channel_id, self_deaf: isDeaf }, user) {
  return { channel_id, actor_kind: kindOf(user), metadata: isDeaf ? { deaf: true } : {} };
}

function kindOf(user) {
  return user?.bot ? "bot" : "user";
}

/** Return whether every member may read the channel. */
function isPublic(channel) {
  if (channel.type === ChannelType.PrivateThread) return false;
  const rights = channel.permissionsFor(channel.guild.roles.everyone);
  return rights ? rights.has(PermissionFlagsBits.ViewChannel) : null;
}

function timeOf(id) {
  return Number((BigInt(id) >> RANDOM_BITS) + EPOCH);
}

function now() {
  return new Date().toISOString();
}
