-- Vasopressors that were given in ICU stays: a row per row of the infusion, with the drug.
-- Views: located_inputevents.
-- What was ordered but not given, or was rewritten, is no treatment.

SELECT
    episode_id,
    CASE
        WHEN itemid = 221906 THEN 'norepinephrine'
        WHEN itemid IN (221289, 229617) THEN 'epinephrine'
        WHEN itemid = 221662 THEN 'dopamine'
        WHEN itemid = 222315 THEN 'vasopressin'
        WHEN itemid IN (221749, 229630, 229631, 229632) THEN 'phenylephrine'
    END AS drug,
    starttime,
    endtime
FROM located_inputevents
WHERE
    drug IS NOT NULL
    AND amount > 0
    AND COALESCE(statusdescription, '') <> 'Rewritten'
