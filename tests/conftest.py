"""Before anything imports torch: one thread each.

Small networks gain nothing from a second thread, and threads that wait for each other on a busy
machine have made suites ten times slower.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
