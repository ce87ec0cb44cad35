"""The tests. Assertions of what they share explain themselves as those of the tests do."""

import sys

if "pytest" in sys.modules:  # the processes that tests start go without it
    sys.modules["pytest"].register_assert_rewrite("tests.support")
