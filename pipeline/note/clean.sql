-- Words of every report, whatever the cohort: lower case, alphabetic, 2 to 15 letters (as gensim's
-- simple_preprocess does; longer runs of letters are dropped, not cut). De-identified spans (___),
-- numbers and layout vanish. Reports without a word are dropped and counted.
WITH worded AS (
    SELECT
        note_id, subject_id, hadm_id, charttime, storetime,
        list_filter(
            regexp_extract_all(lower(coalesce(text, '')), '[a-z]+'),
            lambda word: length(word) BETWEEN 2 AND 15
        ) AS words
    FROM radiology
    WHERE charttime IS NOT NULL
)
SELECT note_id, subject_id, hadm_id, charttime, storetime, array_to_string(words, ' ') AS words
FROM worded
WHERE len(words) > 0
ORDER BY note_id
