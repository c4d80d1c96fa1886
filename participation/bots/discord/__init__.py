"""discord.py: one line in a bot, and messages, reactions, voice, joins and leaves are recorded.

A `commands.Bot` takes `await bot.add_cog(ParticipationCog(bot))`, a plain `discord.Client` takes `attach(client)`.
"""

from participation.bots.discord.adapter import ParticipationCog, attach

__all__ = ["ParticipationCog", "attach"]
