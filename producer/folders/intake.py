"""Register the files of a drop folder in the database."""

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
    """Registers the files of one folder, with one transaction per chunk.

    `on_registered` is called with the number of new or changed arrivals after each commit.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        folder: Folder,
        on_registered: Callable[[int], None],
        *,
        name: str | None = None,
        priority: int | None = None,
        trust: str | None = None,
        clock: Clock = utc_now,
    ) -> None:
        """By default the source has the folder's path as its name and the default priority of the settings.

        `trust` is its trust group, if any.
        """
        self._database = database
        self._folder = folder
        self._root = root_text(folder.root)
        self._name = name or source_name(folder.root)
        self._priority = settings.default_priority if priority is None else priority
        self._trust = trust
        self._on_registered = on_registered
        self._clock = clock
        self.source_id = 0
        """The id of the source in the database; 0 before `open`."""

    def open(self) -> None:
        """Register the source, and read from the database whether the folder had its marker before."""
        self.source_id = ensure_source(
            self._database, name=self._name, kind=KIND, root=self._root, trust=self._trust, now=self._clock()
        )
        self._folder.marked = is_marked(self._database, self.source_id)

    def check_marker(self) -> None:
        """If the folder has its marker, record this.

        From then on, the folder counts as not mounted if the marker is missing.
        """
        if not self._folder.marked and self._folder.has_marker():
            mark_source(self._database, self.source_id)
            self._folder.marked = True

    def register_all(self) -> Registered:
        """Open the source, scan once, and register the files found. The folder's report has the counts of the scan.

        Raises RootMissing, and errors of the database.
        """
        self.open()
        self.check_marker()
        new = changed = 0
        for chunk in self._folder.scan():
            done = self.register(chunk)
            new, changed = new + done.new, changed + done.changed
        return Registered(new=new, changed=changed)

    def report(self, report: FolderReport) -> None:
        """Store the report of the latest scan in the database, for `status`."""
        report_source(self._database, self.source_id, asdict(report), now=self._clock())

    def register(self, arrivals: Sequence[Arrival]) -> Registered:
        """Register a chunk of arrivals, which may be empty. Raises errors of the database."""
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
