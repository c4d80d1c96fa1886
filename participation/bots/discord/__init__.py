"""discord.py: one line in a bot, and messages, reactions, voice, joins and leaves are recorded.

A `commands.Bot` takes `await bot.add_cog(ParticipationCog(bot))`, a plain `discord.Client` takes `attach(client)`.
`MemberCommands` lets members see and erase what is kept about them.
"""

try:
    from participation.bots.discord.adapter import ParticipationCog, attach
    from participation.bots.discord.member_commands import MemberCommands
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "discord":
        raise
    raise ModuleNotFoundError(
        "discord.py is not installed: install participation[discord], as docs/bots.md says",
        name=error.name,
    ) from error

__all__ = ["MemberCommands", "ParticipationCog", "attach"]
