{#-
    Every run builds a new warehouse, so a table is written where it stays. dbt-duckdb's own way
    writes it beside an older one and renames both, which takes a fifth of a small company's run.
-#}
{% materialization table, adapter="duckdb", supported_languages=["sql", "python"] %}
    {%- set target_relation = this.incorporate(type="table") -%}
    {{ run_hooks(pre_hooks) }}
    {% if load_cached_relation(this) is not none -%}
        {{ drop_relation_if_exists(load_cached_relation(this)) }}
    {%- endif %}
    {% call statement("main", language=model["language"]) -%}
        {{ create_table_as(False, target_relation, compiled_code, model["language"]) }}
    {%- endcall %}
    {{ run_hooks(post_hooks) }}
    {% do persist_docs(target_relation, model) %}
    {{ adapter.commit() }}
    {{ return({"relations": [target_relation]}) }}
{% endmaterialization %}
