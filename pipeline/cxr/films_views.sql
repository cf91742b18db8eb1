-- Views of films: the short name of the position (AP, PA, LATERAL), and the meaning of its code
-- (antero-posterior), of which either may be missing. `views`: which there are, as they are
-- `written`, and how many films of each; `films`: those of the views asked for.
-- Views: cxr_metadata, wanted_views (view, lower case).
CREATE TEMP VIEW views AS
SELECT name, lower(trim(view)) AS view, min(trim(view)) AS written, count(*) AS films
FROM (
    SELECT 'ViewPosition' AS name, view_position AS view FROM cxr_metadata
    UNION ALL
    SELECT 'ViewCodeSequence_CodeMeaning', view_code_sequence_code_meaning FROM cxr_metadata
)
WHERE view IS NOT NULL
GROUP BY name, lower(trim(view));

CREATE TEMP VIEW films AS
FROM cxr_metadata
WHERE lower(trim(view_position)) IN (FROM wanted_views)
    OR lower(trim(view_code_sequence_code_meaning)) IN (FROM wanted_views);
