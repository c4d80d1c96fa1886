"""`participation dead-letters …`."""

from participation.cli.dead_letters.browse import list_, show
from participation.cli.dead_letters.purge import purge
from participation.cli.dead_letters.replay import replay
from participation.cli.group import command_group

app = command_group()

app.command("list", epilog="Example: participation dead-letters list --reason invalid_event --since 24h")(list_)
app.command("show", epilog="Example: participation dead-letters show 22 --event > event.json")(show)
app.command("replay", epilog="Example: participation dead-letters replay 22 --event event.json")(replay)
app.command("purge", epilog="Example: participation dead-letters purge --older-than 30d --dry-run")(purge)
