"""The `notification` command."""

import pytest
from goticket_platform.settings import SettingsError
from notification.cli import main


@pytest.mark.parametrize("argv", [[], ["serve"], ["dead-letters"], ["worker", "now"]])
def test_an_unknown_command_prints_the_usage(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(argv)

    assert end.value.code == 2
    assert "worker" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "variable"),
    [
        (["worker"], "NOTIFICATION_SMTP_HOST"),
        (["migrate", "up"], "NOTIFICATION_DATABASE_URL"),
        (["dead-letters", "list"], "NOTIFICATION_AMQP_URL"),
        (["refused-deliveries", "replay"], "NOTIFICATION_DATABASE_URL"),
    ],
)
def test_a_missing_setting_is_named(
    argv: list[str], variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(variable, raising=False)

    with pytest.raises(SettingsError, match=f"{variable}: is not set"):
        main(argv)
