//! Name servers: M-080 to M-085.

use super::brokers::show_settings;
use super::run::{Done, Run};
use crate::admin::{Admin, AdminError};

/// `updateKvConfig` (M-080).
pub(super) async fn update_kv(run: &mut Run) -> Done {
    let given = &run.given;
    let (namespace, key, value) = (given.must('s'), given.must('k'), given.must('v'));
    for name_server in run.admin.name_servers() {
        run.admin.put_kv(name_server, namespace, key, value).await?;
    }
    run.line(format_args!("create or update kv config to namespace success."))
}

/// `deleteKvConfig` (M-081).
pub(super) async fn delete_kv(run: &mut Run) -> Done {
    let (namespace, key) = (run.given.must('s'), run.given.must('k'));
    for name_server in run.admin.name_servers() {
        run.admin.delete_kv(name_server, namespace, key).await?;
    }
    run.line(format_args!("delete kv config from namespace success."))
}

/// `wipeWritePerm` (M-082).
pub(super) async fn wipe_permission(run: &mut Run) -> Done {
    permission(run, "wipe", Admin::wipe_write_permission).await
}

/// `addWritePerm` (M-083).
pub(super) async fn add_permission(run: &mut Run) -> Done {
    permission(run, "add", Admin::add_write_permission).await
}

async fn permission(
    run: &mut Run,
    verb: &str,
    action: impl AsyncFn(&Admin, &str, &str) -> Result<i64, AdminError>,
) -> Done {
    let broker = run.given.must('b').to_owned();
    for name_server in run.admin.name_servers().to_vec() {
        let text = format!("{verb} write perm of broker[{broker}] in name server[{name_server}]");
        match action(&run.admin, &name_server, &broker).await {
            Ok(count) => {
                run.did();
                run.line(format_args!("{text} OK, {count}"))?;
            }
            Err(error) => {
                run.line(format_args!("{text} Failed"))?;
                run.failed(&error)?;
            }
        }
    }
    Ok(())
}

/// `getNamesrvConfig` (M-084).
pub(super) async fn config(run: &mut Run) -> Done {
    for name_server in run.admin.name_servers().to_vec() {
        match run.admin.name_server_settings(&name_server).await {
            Ok(settings) => {
                run.did();
                run.line(format_args!("============{name_server}============"))?;
                show_settings(run, &settings)?;
            }
            Err(error) => run.failed(&error)?,
        }
    }
    Ok(())
}

/// `updateNamesrvConfig` (M-085).
pub(super) async fn update_config(run: &mut Run) -> Done {
    let (key, value) = (run.given.must('k'), run.given.must('v'));
    for name_server in run.admin.name_servers() {
        run.admin.set_name_server_setting(name_server, key, value).await?;
    }
    // 4.9.4 names those of -n only.
    let servers = if run.given.has('n') {
        format!("[{}]", run.admin.name_servers().join(", "))
    } else {
        String::new()
    };
    let text = format!("update name server config success!{servers}\n{key} : {value}");
    run.line(format_args!("{text}"))
}
