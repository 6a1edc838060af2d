"""What a folder holds, registered with the ledger."""

from collections.abc import Callable, Sequence
from dataclasses import asdict

from db.engine import Database
from db.ledger import Arrival, Registered, ensure_source, is_marked, mark_source, register, report_source
from nightread.clock import Clock, utc_now
from nightread.paths import root_text, source_name
from nightread.settings import Settings
from producer.folders.folder import Folder
from producer.folders.report import FolderReport

KIND = "folder"


class Intake:
    """The way from one folder into the ledger, one transaction a chunk; `on_registered` hears of each commit."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        folder: Folder,
        on_registered: Callable[[int], None],
        *,
        name: str | None = None,
        priority: int | None = None,
        clock: Clock = utc_now,
    ) -> None:
        """The source is called `name`, or by the folder's path; its `priority` is the usual one if not given."""
        self._database = database
        self._folder = folder
        self._root = root_text(folder.root)
        self._name = name or source_name(folder.root)
        self._priority = settings.default_priority if priority is None else priority
        self._on_registered = on_registered
        self._clock = clock
        self.source_id = 0
        """The ledger's id of the source once it is open."""

    def open(self) -> None:
        """Make the source known to the ledger, and learn from it whether the folder had its marker before."""
        self.source_id = ensure_source(self._database, name=self._name, kind=KIND, root=self._root, now=self._clock())
        self._folder.marked = is_marked(self._database, self.source_id)

    def look_for_marker(self) -> None:
        """A folder that was once seen with its marker is away whenever it lacks it."""
        if not self._folder.marked and self._folder.has_marker():
            mark_source(self._database, self.source_id)
            self._folder.marked = True

    def take_all(self) -> Registered:
        """Open, and register what one scan finds; the folder's report says what else it met.

        Raises RootMissing, and errors of the database.
        """
        self.open()
        self.look_for_marker()
        new = changed = 0
        for chunk in self._folder.scan():
            done = self.register(chunk)
            new, changed = new + done.new, changed + done.changed
        return Registered(new=new, changed=changed)

    def report(self, report: FolderReport) -> None:
        """Leave the numbers of the latest look with the ledger, for `status`."""
        report_source(self._database, self.source_id, asdict(report), now=self._clock())

    def register(self, arrivals: Sequence[Arrival]) -> Registered:
        """Register a chunk, which may be empty."""
        if not arrivals:
            return Registered(new=0, changed=0)
        done = register(
            self._database,
            source_id=self.source_id,
            arrivals=arrivals,
            priority=self._priority,
            now=self._clock(),
        )
        if done.new + done.changed:
            self._on_registered(done.new + done.changed)
        return done
