import pytest

from dramaturg.actors.breakers import BreakerConfig
from dramaturg.actors.breakers.times import boot_id
from dramaturg.actors.settings import SettingsError


def test_the_presets_are_what_the_table_of_features_says() -> None:
    default = BreakerConfig.preset("default")
    classic = BreakerConfig.preset("classic")
    provider = BreakerConfig.preset("provider")
    storage = BreakerConfig.preset("storage")

    assert (default.window, default.window_s, default.min_calls) == ("time", 60, 20)
    assert (default.failure_rate, default.compare) == (0.5, ">=")
    assert (default.half_open_permitted, default.half_open_successes) == (3, 2)
    assert (classic.window, classic.failures_max) == ("consecutive", 5)
    assert (provider.half_open_permitted, provider.half_open_successes) == (1, 2)
    assert (storage.failure_rate, storage.compare) == (0.5, ">")
    assert [storage.cooldown_us(n, 0.0) for n in (1, 5)] == [300_000_000] * 2
    assert storage.half_open_permitted == 10


def test_plain_data_starts_from_a_preset() -> None:
    found = BreakerConfig.from_dict({"preset": "classic", "failures_max": "3"})

    assert found == BreakerConfig.preset("classic", failures_max=3)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"window_calls": 0}, "window_calls is 0, but must be at least 1"),
        ({"buckets": 0}, "buckets is 0"),
        ({"failures_max": 0}, "failures_max is 0"),
        ({"min_calls": 0}, "min_calls is 0"),
        ({"half_open_permitted": 0}, "half_open_permitted is 0"),
        ({"half_open_successes": 0}, "half_open_successes is 0"),
        ({"window_s": 0}, "window_s is 0"),
        ({"slow_call_s": 0}, "slow_call_s is 0"),
        ({"cooldown_s": 0}, "cooldown_s is 0"),
        ({"probe_lease_s": 0}, "probe_lease_s is 0"),
        ({"failure_rate": 1.5}, "failure_rate is 1.5, but must be above 0"),
        ({"slow_call_s": 1, "slow_rate": 0}, "slow_rate is 0"),
        ({"cooldown_factor": 0.5}, "cooldown_factor is 0.5"),
        ({"cooldown_jitter": 1}, "cooldown_jitter is 1"),
        ({"cooldown_max_s": 5}, "cooldown_max_s is 5.0, but must be at least cool"),
        ({"window": "consecutive"}, "set failures_max"),
        ({"failure_rate": None}, "nothing would ever open this breaker"),
        ({"slow_rate": 0.5}, "slow_rate needs slow_call_s"),
        ({"window": "count", "window_calls": 10}, "holds no more than 10 calls"),
        ({"window": "hourly"}, "hourly"),
        ({"failure_rates": 5}, "no setting 'failure_rates'; there are window"),
        ({"preset": "brave"}, "no preset 'brave'; there are default, classic"),
    ],
)
def test_settings_that_cannot_work_are_named(
    settings: dict[str, object], named: str
) -> None:
    with pytest.raises(SettingsError, match=named):
        BreakerConfig.from_dict(settings)


def test_a_rate_is_a_quotient_so_that_three_of_thirty_is_a_tenth() -> None:
    config = BreakerConfig(failure_rate=0.1)

    assert config.reached(30, 3, 0) == ("failure_rate", 0.1)
    assert BreakerConfig(failure_rate=0.1, compare=">").reached(30, 3, 0) is None


def test_a_cooldown_too_large_for_a_float_is_the_longest() -> None:
    assert BreakerConfig(cooldown_factor=10.0).cooldown_us(5000, 0.0) == 300_000_000


def test_a_retry_after_is_kept_within_the_longest_cooldown() -> None:
    config = BreakerConfig()

    assert config.cooldown_us(1, 0.0, 5.0) == 5_000_000
    assert config.cooldown_us(1, 0.0, 86_400.0) == 300_000_000
    assert BreakerConfig(retry_after=False).cooldown_us(1, 0.0, 5.0) == 60_000_000


def test_the_failures_that_may_be_lost_are_a_quarter_of_what_opens_it() -> None:
    found = [
        config.roll_up_failures
        for config in (
            BreakerConfig(),
            BreakerConfig(min_calls=1),
            BreakerConfig(failures_max=3),
            BreakerConfig.preset("classic"),
        )
    ]

    assert found == [5, 1, 1, 2]


def test_where_there_is_no_boot_id_each_process_has_its_own(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    missing = tmp_path_factory.mktemp("proc") / "boot_id"

    assert boot_id(missing) != boot_id(missing)
    assert boot_id() == boot_id()
