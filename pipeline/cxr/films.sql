-- Films of every episode, whatever the task, that were taken by the cut. MIMIC-CXR has no hadm_id:
-- a film belongs to the admission whose observation it falls into.
-- The known_films field is the time column of the availability table of the config; the cut is the
-- prediction time or (rule off) long after it.
WITH windows AS (
    SELECT episode_id, subject_id, start, observed_from, {cut} AS cut FROM episodes
)
SELECT
    w.episode_id,
    f.dicom_id,
    f.subject_id,
    f.study_id,
    CAST(date_diff('minute', w.start, f.film_time) AS INTEGER) AS minute
FROM cxr_metadata AS f
JOIN windows AS w USING (subject_id)
WHERE {known_films} > w.observed_from
    AND {known_films} <= w.cut
    -- Frontal films of patients in bed: what an ICU has of everybody.
    AND list_contains($views, lower(f.view_code_sequence_code_meaning))
ORDER BY ALL
