"""The six stages, from the work that the pipeline hands out to the workshop."""

import msgspec
from msgspec.structs import replace as but

from ...actors.pipelines import Pipeline, Stage, Work
from ...actors.retries import Classifier
from ...actors.transactions import TransactionError
from ...events.log import LogError
from ...events.log.artifacts import Artifact, ArtifactError, ArtifactStoreError
from .catalogue import CatalogueEntry
from .population import Populated, Population
from .settings import BREAKER, PIPELINE, QUEUE, DocumentSettings
from .workshop import Findings, Order, Text, Verified, Workshop

CLASSIFIER = Classifier(
    ("transient", (TransactionError, LogError, ArtifactStoreError)),
    ("permanent", ArtifactError),
)
"""A rolled back transaction, a log or a full disk may be well again at the next try."""
GRAPH_STAGE_TIMEOUT_S = 600.0
"""A transaction takes its time to be rolled back while the graph is down."""


class Finished(msgspec.Struct, frozen=True, gc=False):
    """The digest of the manifest."""

    manifest: str


class Stages:
    """The functions of the stages; each takes one attempt and returns its result."""

    def __init__(self, workshop: Workshop, population: Population) -> None:
        self._workshop = workshop
        self._population = population

    async def store(self, work: Work) -> Artifact:
        """Validate the document and keep a copy."""
        return await self._workshop.store(_order(work).source)

    async def extract(self, work: Work) -> Text:
        """Find its text."""
        stored = work.result_as("store", Artifact)
        return await self._workshop.extract(_order(work).source, stored)

    async def find_entities(self, work: Work) -> Findings:
        """Find what it says."""
        stored = work.result_as("store", Artifact)
        text = work.result_as("extract", Text)
        return await self._workshop.find_entities(_order(work), stored, text)

    async def populate(self, work: Work) -> Populated:
        """Put that into the graph, and the document into the catalogue."""
        source = _order(work).source
        stored = work.result_as("store", Artifact)
        text = work.result_as("extract", Text)
        findings = work.result_as("entities", Findings)
        entry = CatalogueEntry(
            key=source.key,
            kind=source.kind,
            title=source.title,
            distribution=source.distribution,
            path=source.path,
            content=stored.digest,
            content_bytes=stored.size_bytes,
            characters=text.characters,
            mentions=findings.mentions,
        )
        document = self._workshop.graph_document(source, stored, findings)
        return await self._population.populate(work.effect_key, document, entry)

    async def unpopulate(self, work: Work) -> None:
        """Take it out of both again."""
        await self._population.take_back(work.effect_key)

    async def verify(self, work: Work) -> Verified:
        """Read back what was written, and index the text."""
        text = work.result_as("extract", Text)
        findings = work.result_as("entities", Findings)
        return await self._workshop.verify(_order(work).source, text, findings)

    async def unindex(self, work: Work) -> None:
        """Index what was indexed before, or nothing."""
        await self._workshop.unindex(_order(work).source)

    async def finalise(self, work: Work) -> Finished:
        """Write the manifest."""
        manifest = await self._workshop.finalise(
            _order(work).source,
            work.result_as("store", Artifact),
            work.result_as("extract", Text),
            work.result_as("entities", Findings),
            work.result_as("verify", Verified),
        )
        return Finished(manifest)

    async def withdraw(self, work: Work) -> None:
        """Put back the manifest that was there before, or none."""
        await self._workshop.withdraw(_order(work).source)

    def pipeline(self, settings: DocumentSettings) -> Pipeline:
        """Declare the pipeline."""
        plain = Stage(
            name="store",
            function=self.store,
            progress=10,
            concurrency=settings.stage_concurrency,
            retry=settings.retry(),
            undo_retry=settings.undo_retry(),
            classifier=CLASSIFIER,
        )
        return Pipeline(
            name=PIPELINE,
            stages=(
                plain,
                but(plain, name="extract", function=self.extract, progress=25),
                but(plain, name="entities", function=self.find_entities, progress=50),
                but(
                    plain,
                    name="populate",
                    function=self.populate,
                    compensate=self.unpopulate,
                    progress=75,
                    breaker=BREAKER,
                    timeout_s=GRAPH_STAGE_TIMEOUT_S,
                ),
                but(
                    plain,
                    name="verify",
                    function=self.verify,
                    compensate=self.unindex,
                    progress=90,
                    breaker=BREAKER,
                    timeout_s=4 * settings.call_s,
                ),
                but(
                    plain,
                    name="finalise",
                    function=self.finalise,
                    compensate=self.withdraw,
                    progress=100,
                ),
            ),
            dead_letters=QUEUE,
            in_flight_max=settings.open_max,
            running_max=settings.concurrency,
        )


def _order(work: Work) -> Order:
    return work.payload_as(Order)
