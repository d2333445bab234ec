//! STUB
#![allow(missing_docs)]
pub mod key { #[derive(Clone)] pub enum Source { Expression(String), Other } }
pub mod units { use std::time::Duration; pub fn duration(s:&str)->Result<Option<Duration>,String>{ if s=="off" {return Ok(None);} s.trim_end_matches('s').parse().map(|n|Some(Duration::from_secs_f64(n))).map_err(|_|"bad".into()) } }
pub mod resolver { use std::sync::Arc;
 pub struct CachedResolver; impl CachedResolver { pub fn forget(&self,_k:&str){} }
 pub struct ResolverConfig; impl ResolverConfig { pub fn parse(_n:&str,_a:&[String])->Result<Self,String>{Ok(ResolverConfig)} pub fn build(&self)->Arc<CachedResolver>{Arc::new(CachedResolver)} } }
use crate::upgrade::Request; use crate::upstream::Target; use std::sync::Arc; use std::collections::HashMap;
pub trait Expressions { fn evaluate(&self, text:&str)->Result<String,String>; }
#[derive(Clone)] pub struct KeyRule{pub source:key::Source} impl KeyRule{pub fn parse(_a:&[String])->Result<Self,String>{Ok(KeyRule{source:key::Source::Other})}}
#[derive(Default)] pub struct AllowList; impl AllowList{pub fn parse(_a:&[String])->Result<Self,String>{Ok(AllowList)} pub fn add(&mut self,_a:&[String])->Result<(),String>{Ok(())} pub fn permits(&self,_h:&str,_a:std::net::SocketAddr)->bool{true} pub fn permits_unix(&self,_p:&std::path::Path)->bool{true}}
#[derive(Default)] pub struct OriginPolicy; impl OriginPolicy{pub fn parse(_a:&[String])->Result<Self,String>{Ok(Self)} pub fn check(&self,_r:&Request)->Result<(),Refusal>{Ok(())}}
pub struct PathTemplate; impl PathTemplate{pub fn parse(_a:&str)->Result<Self,String>{Ok(Self)}}
pub enum Route{Off,Template(Target),Resolvers(Vec<String>)}
impl Route{pub fn parse(a:&[String])->Result<Self,String>{ let u=&a[0]; if u.eq_ignore_ascii_case("off"){return Ok(Route::Off);} let (s,r)=u.split_once("://").ok_or("url")?; let (hp,p)=match r.find('/') {Some(i)=>(&r[..i],Some(r[i..].to_string())),None=>(r,None)}; let (h,po)=hp.split_once(':').ok_or("port")?; Ok(Route::Template(Target{tls:s=="wss",address:crate::upstream::Address::Tcp{host:h.into(),port:po.parse().unwrap()},path:p})) }}
pub struct Candidate{pub key:String}
pub fn candidates(_r:&[KeyRule],_q:&Request,_e:&dyn Expressions)->Result<Vec<Candidate>,Refusal>{Ok(vec![])}
#[derive(Debug,thiserror::Error)] pub enum Refusal{#[error("x")] X} impl Refusal{pub fn status(&self)->u16{404} pub fn retry_after(&self)->Option<u32>{None}}
pub struct Answer{pub username:Option<String>,pub password:Option<String>,pub headers:Vec<(String,String)>,pub pin:Option<[u8;32]>}
pub struct Decision{pub target:Target,pub key:Option<String>,pub rule:Option<String>,pub resolver:Option<String>,pub answer:Option<Answer>,pub literal:bool}
impl Decision{pub fn expires_in(&self)->Option<std::time::Duration>{None}}
pub type Resolvers=HashMap<String,Arc<resolver::CachedResolver>>;
#[allow(clippy::too_many_arguments)]
pub async fn decide(route:&Route,_c:&[Candidate],_r:&Resolvers,_o:Option<&str>,_q:&Request,_t:bool,_p:Option<&PathTemplate>,_s:&mut Vec<String>)->Result<Decision,Refusal>{ match route {Route::Template(t)=>Ok(Decision{target:t.clone(),key:None,rule:None,resolver:None,answer:None,literal:true}),_=>Err(Refusal::X)} }
