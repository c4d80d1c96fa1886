"""The slash commands with which members of a Discord server see, download and erase what is kept about them.

Only the member who uses a command sees the answer.
"""

from collections.abc import Awaitable, Callable
from io import BytesIO
from typing import Any, Final

import discord
from discord import app_commands
from discord.ext import commands

from participation.bots.member_answers import COMMANDS, MemberAnswers
from participation.platforms.discord import PLATFORM

QUESTION_SECONDS: Final = 120.0
"""How long the buttons of a question work."""

Interaction = discord.Interaction[Any]
Act = Callable[[str], Awaitable[str]]


class MemberCommands(commands.Cog, name="Participation for members"):
    """Adds the commands of `member_answers.COMMANDS`: `await bot.add_cog(MemberCommands())`, then sync the tree.

    The commands need DATABASE_URL. The bot first tells Discord that an answer will follow, because Discord waits only a
    few seconds. Then a thread reads the database.
    """

    def __init__(self) -> None:
        self._members = MemberAnswers(PLATFORM)

    async def cog_unload(self) -> None:
        await self._members.close()

    @app_commands.command(name="privacy", description=COMMANDS["privacy"])
    async def privacy(self, interaction: Interaction) -> None:
        await interaction.response.send_message(self._members.privacy(), ephemeral=True, suppress_embeds=True)

    @app_commands.command(name="what_is_kept", description=COMMANDS["what_is_kept"])
    async def what_is_kept(self, interaction: Interaction) -> None:
        await self._answer(interaction, self._members.what_is_kept)

    @app_commands.command(name="my_data", description=COMMANDS["my_data"])
    async def my_data(self, interaction: Interaction) -> None:
        await interaction.response.defer(ephemeral=True)
        answer = await self._members.my_data(str(interaction.user.id))
        if answer.content is None or answer.file_name is None:
            await interaction.followup.send(answer.text, ephemeral=True)
        else:
            file = discord.File(BytesIO(answer.content), answer.file_name)
            await interaction.followup.send(answer.text, file=file, ephemeral=True)

    @app_commands.command(name="forget_me", description=COMMANDS["forget_me"])
    async def forget_me(self, interaction: Interaction) -> None:
        await _ask(
            interaction, "Erase everything that is kept about you? This cannot be undone.", self._members.forget_me
        )

    @app_commands.command(name="opt_out", description=COMMANDS["opt_out"])
    async def opt_out(self, interaction: Interaction) -> None:
        await _ask(
            interaction,
            "Erase everything that is kept about you, and keep nothing from now on? This cannot be undone.",
            self._members.opt_out,
        )

    @app_commands.command(name="opt_in", description=COMMANDS["opt_in"])
    async def opt_in(self, interaction: Interaction) -> None:
        await self._answer(interaction, self._members.opt_in)

    async def _answer(self, interaction: Interaction, act: Act) -> None:
        await interaction.response.defer(ephemeral=True)
        await interaction.followup.send(await act(str(interaction.user.id)), ephemeral=True)


async def _ask(interaction: Interaction, question: str, act: Act) -> None:
    await interaction.response.send_message(question, view=_Question(act), ephemeral=True)


class _Question(discord.ui.View):
    """Asks for confirmation with two buttons: Erase and Keep."""

    def __init__(self, act: Act) -> None:
        super().__init__(timeout=QUESTION_SECONDS)
        self._act = act

    @discord.ui.button(label="Erase", style=discord.ButtonStyle.danger)
    async def erase(self, interaction: Interaction, _button: discord.ui.Button["_Question"]) -> None:
        self.stop()
        await interaction.response.edit_message(content="One moment …", view=None)
        await interaction.edit_original_response(content=await self._act(str(interaction.user.id)))

    @discord.ui.button(label="Keep")
    async def keep(self, interaction: Interaction, _button: discord.ui.Button["_Question"]) -> None:
        self.stop()
        await interaction.response.edit_message(content="Nothing was erased.", view=None)
