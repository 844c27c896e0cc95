"""Runs ``alembic upgrade``, ``check`` and ``downgrade`` on both databases: migrations and models say the same."""

import os
import subprocess
import sys
import tempfile

ALEMBIC = [sys.executable, "-m", "alembic.config"]


def main() -> int:
    """Return 0 when neither database differs from the models."""
    server = os.environ["HOATOC_TEST_POSTGRES"]
    with tempfile.TemporaryDirectory() as folder:
        for url in (f"sqlite+aiosqlite:///{folder}/drift.sqlite3", f"{server}/postgres"):
            environment = {**os.environ, "HOATOC_DATABASE_URL": url}
            for step in (["upgrade", "head"], ["check"], ["downgrade", "base"]):
                done = subprocess.run([*ALEMBIC, *step], env=environment, capture_output=True, text=True, check=False)
                if done.returncode != 0:
                    said = f"{done.stdout}{done.stderr}"
                    sys.stderr.write(f"{url.split(':')[0]}: alembic {' '.join(step)} failed\n{said}")
                    return 1
            sys.stderr.write(f"{url.split(':')[0]}: the migrations and the models agree\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
