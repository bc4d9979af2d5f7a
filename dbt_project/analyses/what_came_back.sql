-- Of what was sent on each channel, what share was delivered, opened, clicked, bounced?
select
    channel,
    purpose,
    count(*) as sent,
    round(100.0 * count(*) filter (where is_delivered) / count(*), 1) as delivered_percent,
    round(100.0 * count(*) filter (where is_opened) / count(*), 1) as opened_percent,
    round(100.0 * count(*) filter (where is_clicked) / count(*), 1) as clicked_percent,
    round(100.0 * count(*) filter (where is_bounced) / count(*), 1) as bounced_percent,
    round(100.0 * count(*) filter (where is_unsubscribed) / count(*), 2) as unsubscribed_percent
from fct_care_deliveries
where sent_at is not null
group by channel, purpose
order by sent desc, channel asc, purpose asc
