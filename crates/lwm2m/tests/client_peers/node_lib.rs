//! A server of LwM2M 1.0 by lwm2m-node-lib 1.4.0. What it does not do as LwM2M 1.0 has it:
//!
//! | fault | here |
//! | --- | --- |
//! | its Create is a POST to `/object/instance`, of an instance that is not there (§5.4.6: to `/object`) and without a payload | 4.00 |
//! | its Delete sends nothing | left out |

use lwm2m::client::Config;
use lwm2m::model::Version;
use serde_json::{Value as Json, json};

use crate::live::{Live, run};

impl Live {
    async fn operate(&mut self, operation: &str, path: &[u16], value: Json) -> (Json, Json) {
        let wanted = json!({"operation": operation, "path": path, "value": value});
        let done = self.tell(wanted).await;
        (done["error"].clone(), done["result"].clone())
    }
}

#[test]
fn a_server_of_1_0_takes_the_client_and_operates_it() {
    run(async {
        let config = Config {
            versions: vec![Version::V1_0],
            ..Config::new("device")
        };
        let mut live = Live::start("node", "node_server.js", config).await;
        let links =
            "</1>;ver=1.1,</1/0>,</3>;ver=1.2,</3/0>,</2346>,</2347>,</3303/0>,</3304/0>,</3360/0>";
        let registered = json!({
            "asked": "register", "endpoint": "device", "lifetime": "300", "version": "1.0", "binding": "U",
            "payload": links,
        });
        assert_eq!(live.asked().await, registered);

        let fine = |result: &str| (Json::Null, json!(result));
        let null = || Json::Null;
        let read = live.operate("read", &[3303, 0, 5700], null()).await;
        assert_eq!(read, fine("21.5"));
        let missing = live.operate("read", &[3303, 7, 5700], null()).await;
        assert_eq!(missing.0, "RESOURCE_NOT_FOUND");
        let written = live.operate("write", &[3360, 0, 5702], json!("-1.5")).await;
        assert_eq!(written, (null(), null()));
        assert_eq!(
            live.operate("read", &[3360, 0, 5702], null()).await,
            fine("-1.5")
        );
        let refused = live.operate("write", &[3360, 0, 5702], json!("x")).await;
        assert_eq!(refused.0, "CLIENT_ERROR");
        assert_eq!(
            live.operate("read", &[3360, 0, 5702], null()).await,
            fine("-1.5")
        );
        assert_eq!(
            live.operate("execute", &[1, 0, 8], json!("")).await,
            (null(), null())
        );
        assert_eq!(
            live.asked().await,
            json!({"asked": "update", "lifetime": "300", "payload": ""})
        );

        let attributes = json!({"pmin": 1, "pmax": 60});
        let attached = live
            .operate("writeAttributes", &[3303, 0, 5700], attributes)
            .await;
        assert_eq!(attached, (null(), null()));
        let shown = live.operate("discover", &[3303, 0, 5700], null()).await;
        assert_eq!(shown, fine("</3303/0/5700>;pmin=1;pmax=60"));
        let shown = live.operate("discover", &[3360, 0], null()).await;
        assert_eq!(shown, fine("</3360/0>,</3360/0/5702>,</3360/0/5703>"));
        let created = live.operate("create", &[3360, 1], null()).await;
        let refused = "Error code recieved from the client: 4.00";
        assert_eq!(created, (json!("CLIENT_ERROR"), json!(refused)));

        let observed = live.operate("observe", &[3304, 0, 5700], null()).await;
        assert_eq!((observed, live.observations()), (fine("48"), 1));
        live.set("/3304/0/5700", 50.0);
        assert_eq!(live.notified().await["result"], "50");
        live.end().await;
    });
}
