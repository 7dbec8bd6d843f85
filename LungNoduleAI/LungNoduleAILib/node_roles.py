"""Names under which the nodes of one result refer to each other; part of the format of saved scenes."""

from __future__ import annotations

# From a findings segmentation to the nodes made with it.
MARKUPS_ROLE = "ThoraxAI.Markups"
TABLE_ROLE = "ThoraxAI.Table"
RECORD_ROLE = "ThoraxAI.Record"
# To the findings in a prior CT.
PRIOR_ROLE = "ThoraxAI.Prior"
# To the volumes of what speaks for each nodule.
INFLUENCE_ROLE = "ThoraxAI.Influence"
