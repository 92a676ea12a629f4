"""`python -m isavae` is `isavae`."""

import sys

from isavae.cli import main

sys.exit(main())
