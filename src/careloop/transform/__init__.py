"""Transform: from the lake and the program pack to marts, by dbt."""
