-- A table of a source whose rows have a key, in the parquet file {written}: `repeats` counts rows
-- beyond the first of their kind and keys whose rows differ, `once` has the others in their order.
-- A null is no key.
CREATE OR REPLACE TEMP TABLE keys AS
SELECT {key}, min(file_row_number) AS first_row, count(*) AS copies
FROM read_parquet({written}, file_row_number = true)
GROUP BY {key}
HAVING count(*) > 1;

CREATE OR REPLACE TEMP TABLE again AS
SELECT
    file_row_number, first_row,
    hash(*COLUMNS(* EXCLUDE (file_row_number, first_row, copies))) AS content
FROM read_parquet({written}, file_row_number = true) JOIN keys USING ({key});

CREATE OR REPLACE TEMP VIEW repeats AS
SELECT
    count(*) FILTER (file_row_number > first_row) AS repeated,
    (
        SELECT count(*)
        FROM (SELECT 1 FROM again GROUP BY first_row HAVING count(DISTINCT content) > 1)
    ) AS differing
FROM again;

CREATE OR REPLACE TEMP VIEW once AS
SELECT * EXCLUDE (file_row_number)
FROM read_parquet({written}, file_row_number = true)
WHERE file_row_number NOT IN (SELECT file_row_number FROM again WHERE file_row_number > first_row)
ORDER BY file_row_number;
