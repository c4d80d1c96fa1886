"""The adapter for discord.py. It records messages, reactions, voice, joins and leaves.

For a `commands.Bot`: `await bot.add_cog(ParticipationCog(bot))`. For any other `discord.Client`: `attach(client)`.
With `MemberCommands`, members can see and erase what is kept about them.
"""

from participation.extras import advice

try:
    from participation.bots.discord.adapter import ParticipationCog, attach
    from participation.bots.discord.member_commands import MemberCommands
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "discord":
        raise
    raise ModuleNotFoundError(advice("discord", "discord"), name=error.name) from error

__all__ = ["MemberCommands", "ParticipationCog", "attach"]
