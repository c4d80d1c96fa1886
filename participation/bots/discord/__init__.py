"""discord.py: one line in a bot, and messages, reactions, voice, joins and leaves are recorded.

A `commands.Bot` takes `await bot.add_cog(ParticipationCog(bot))`, a plain `discord.Client` takes `attach(client)`.
`MemberCommands` lets members see and erase what is kept about them.
"""

from participation.bots.discord.adapter import ParticipationCog, attach
from participation.bots.discord.member_commands import MemberCommands

__all__ = ["MemberCommands", "ParticipationCog", "attach"]
