"""What dramaturg's own folds make of streams in which events were erased."""

import shutil
from pathlib import Path

import pytest

from dramaturg.events import Erased, Event, Fold, vocabulary
from dramaturg.events.log.reader import LogReader
from dramaturg.projections import standard_folds

KEPT = Path(__file__).parents[1] / "log" / "formats" / "v2" / "documents.db"
FOLDS = {fold.kind: fold for fold in standard_folds()}


@pytest.fixture(scope="module")
def streams(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Event]]:
    path = tmp_path_factory.mktemp("log") / "documents.db"
    shutil.copyfile(KEPT, path)
    with LogReader(path, vocabulary()) as reader:
        return {
            head.stream: [
                each.event
                for each in reader.read_stream(head.stream)
                if isinstance(each.event, Event)
            ]
            for head in reader.streams()
            if head.kind in FOLDS
        }


def test_a_fold_goes_on_whichever_events_of_its_stream_were_erased(
    streams: dict[str, list[Event]],
) -> None:
    assert {stream.partition("/")[0] for stream in streams} >= {"item", "transaction"}
    for stream, events in streams.items():
        fold: Fold[object] = FOLDS[stream.partition("/")[0]]
        for erased in range(2 ** len(events)):
            state = fold.initial(stream)
            for number, event in enumerate(events):
                gone = Erased(event.tag, event.version, b"{}", "aes-256-gcm:0")
                state = fold.step(state, gone if erased >> number & 1 else event)
            version = getattr(state, "version", len(events))
            assert version == len(events), (stream, erased)
