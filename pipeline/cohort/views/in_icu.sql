-- Conditions that tasks of ICU stays share: one row per stay.
-- Views: at_risk. In a name stands {hours}, from clock_zero to T.

SELECT
    episode_id,
    alive
        AS "condition: alive at T = {hours} h",
    still_there
        AS "condition: still in the ICU at T"
FROM at_risk
