{%- set starts = setting_text("quiet_hours.starts") -%}
{%- set ends = setting_text("quiet_hours.ends") -%}
{%- set now_local = "timestamp '" ~ run_context("as_of_local") ~ "'" -%}
{%- set quiet_channels = setting_list("quiet_hours.channels") -%}

with

channels as (
    select * from {{ source("program", "channels") }}
),

calendar as (
    select * from {{ source("program", "calendar_days") }}
),

purposes as (
    select distinct purpose from {{ source("program", "rules") }}
),

asked as (
    select
        purposes.purpose,
        channels.channel,
        channels.bit,
        channels.is_spoken,
        coalesce(purposes.purpose in ({{ setting_list("quiet_hours.exempt_purposes") }}), false)
            as is_exempt,
        coalesce(channels.channel in ({{ setting_list("quiet_hours.working_days_only") }}), false)
            as is_for_working_days,
        coalesce(channels.channel in ({{ quiet_channels }}), true) as is_quiet_channel,
        {{ minute_of(now_local) }} as now_minute,
        {{ minute_of_text("'" ~ starts ~ "'") }} as quiet_from,
        {{ minute_of_text("'" ~ ends ~ "'") }} as quiet_until
    from purposes
    cross join channels
),

ruled as (
    select
        purpose,
        channel,
        bit,
        is_exempt,
        now_minute,
        quiet_from,
        quiet_until,
        is_quiet_channel and not is_exempt as has_quiet_hours,
        is_for_working_days and (is_spoken or not is_exempt) as is_for_working_days
    from asked
),

judged as (
    select
        *,
        has_quiet_hours and {{ in_quiet_hours("now_minute") }} as is_quiet_now,
        -- What a later day begins with, where it does not begin in quiet hours.
        case
            when has_quiet_hours and {{ "true" if starts > ends or starts == "00:00" else "false" }}
                then quiet_until
            else 0
        end as first_minute
    from ruled
),

after_quiet as (
    select
        *,
        case
            when is_quiet_now and quiet_from > quiet_until and now_minute >= quiet_from
                then {{ days_after(as_of_date(), 1) }}
            else {{ as_of_date() }}
        end as after_quiet_on
    from judged
),

working_days as (
    select
        after_quiet.purpose,
        after_quiet.channel,
        min(calendar.date) as working_on
    from after_quiet
    inner join calendar on after_quiet.after_quiet_on <= calendar.date
    where calendar.is_workday
    group by after_quiet.purpose, after_quiet.channel
),

placed as (
    select
        after_quiet.*,
        case
            when after_quiet.is_for_working_days then working_days.working_on
            else after_quiet.after_quiet_on
        end as slot_on
    from after_quiet
    left join working_days
        on
            after_quiet.purpose = working_days.purpose
            and after_quiet.channel = working_days.channel
),

final as (
    select
        purpose,
        channel,
        bit,
        is_exempt,
        has_quiet_hours,
        is_quiet_now and {{ setting("quiet_hours.action") }} = 'drop' as is_dropped,
        slot_on,
        case
            when slot_on = after_quiet_on and not is_quiet_now then {{ as_of_utc() }}
            when slot_on = after_quiet_on
                then
                    greatest(
                        {{ as_of_utc() }}, {{ utc_time(day_minute("slot_on", "quiet_until")) }}
                    )
            else {{ utc_time(day_minute("slot_on", "first_minute")) }}
        end as slot_at,
        case
            when slot_on is null then 'no working day in the calendar'
            when slot_on > after_quiet_on then 'working days only'
            when is_quiet_now then 'quiet hours'
            else 'now'
        end as waits_for
    from placed
)

select * from final
