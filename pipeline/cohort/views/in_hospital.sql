-- Conditions that tasks of admissions share: one row per episode.
-- Views: at_risk.

SELECT
    episode_id,
    still_there
        AS "condition: in hospital at the prediction time",
    alive
        AS "condition: alive at the prediction time"
FROM at_risk
