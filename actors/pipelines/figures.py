"""What a pipeline has done since it was started, in numbers."""

from collections import Counter

from .board import Board
from .messages import Figures, StageFigures
from .pipeline import Pipeline


class Tally:
    """Counts durable events; the counters go back to the start of the actor."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.done: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.put_off: Counter[str] = Counter()
        self.took_us: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()

    def figures(self, board: Board) -> Figures:
        """Return the numbers as they stand."""
        return Figures(
            pipeline=self.pipeline.name,
            open=board.open,
            busy=board.busy,
            places={str(place): n for place, n in board.places.items() if n},
            ended=dict(self.ended),
            stages={
                stage.name: StageFigures(
                    running=board.running(stage.name),
                    waiting=board.waiting(stage.name),
                    done=self.done[stage.name],
                    failed=self.failed[stage.name],
                    put_off=self.put_off[stage.name],
                    took_us=self.took_us[stage.name],
                    has_worker=stage.name in board.manned,
                    is_paused=stage.name in board.held,
                    is_blocked=stage.name in board.blocked,
                )
                for stage in self.pipeline.stages
            },
            is_paused=board.paused,
        )
