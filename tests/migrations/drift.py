"""Runs ``alembic upgrade head`` and ``alembic check`` on both databases: the migrations say exactly what the models say."""

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
                    sys.stderr.write(f"{url.split(':')[0]}: alembic {' '.join(step)} failed\n{done.stdout}{done.stderr}")
                    return 1
            sys.stderr.write(f"{url.split(':')[0]}: the migrations and the models agree\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
